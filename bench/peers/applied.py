"""What the peers have in common: a batch enters the ledger."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import transaction

from kafka_bridge.events.codec import decode
from ventas import libro
from ventas.events import VentaRegistrada

# The headers and the value of a message; the libraries type them differently.
Raw = tuple[Any, Any]


@dataclass
class Progress:
    """Enters batches in the ledger until there are `goal` sales, and times that.

    The time begins when the first batch has been entered, and the first batch does not count:
    libraries differ in how much they have done before they hand it over.
    """

    goal: int
    first: int = 0
    seen: int = 0
    began: float = 0.0
    ended: float = 0.0

    def decode_and_enter(self, batch: Iterable[Raw]) -> bool:
        """Enter a batch of messages; return whether the goal is reached."""
        events = [decode(dict(headers), value) for headers, value in batch]
        return self.enter([event for event in events if isinstance(event, VentaRegistrada)])

    def enter(self, ventas: Sequence[VentaRegistrada]) -> bool:
        """Enter a batch of sales; return whether the goal is reached."""
        with transaction.atomic():
            libro.registrar(ventas)
        self.ended = time.perf_counter()
        self.seen += len(ventas)
        if not self.began:
            self.began, self.first = self.ended, self.seen
        return self.seen >= self.goal

    @property
    def rate(self) -> float:
        """Return the sales per second. Raises RuntimeError if the goal was not reached."""
        if self.seen < self.goal:
            raise RuntimeError(f"only {self.seen} of {self.goal} sales arrived")
        return (self.seen - self.first) / (self.ended - self.began)
