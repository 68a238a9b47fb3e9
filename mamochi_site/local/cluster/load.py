"""Sellers: programs of maestros that sell one sale after the other through the published port."""

import http.client
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from deploy.embedded.waiting import wait_until
from mamochi_site.local.demo.client import Api
from ventas.models import Venta

ACCEPTED: Final = 202
NO_ANSWER: Final = "no answer"
PER_REQUEST: Final = 1_000
APPLIED_S: Final = 180.0


@dataclass
class Load:
    """What the sellers did: how each request was answered, and the ids of accepted sales."""

    answers: Counter[str] = field(default_factory=Counter)
    accepted: list[str] = field(default_factory=list)
    slowest_s: float = 0.0

    @property
    def failed(self) -> int:
        """Return how many requests were not accepted."""
        return sum(self.answers.values()) - self.answers[str(ACCEPTED)]

    def lost(self) -> int:
        """Return how many accepted sales have no row; waits until the consumers had time."""
        try:
            wait_until(lambda: not self._missing(), APPLIED_S, what="every sale has a row", interval=1.0)
        except TimeoutError:
            return self._missing()
        return 0

    def doubled(self) -> int:
        """Return how many rows are more than one for a sale."""
        return Venta.objects.filter(venta_id__in=self.accepted).count() - len(set(self.accepted)) + self._missing()

    def _missing(self) -> int:
        known = set(map(str, Venta.objects.filter(venta_id__in=self.accepted).values_list("venta_id", flat=True)))
        return len(set(self.accepted) - known)


def _sale() -> dict[str, object]:
    return {"id": str(uuid.uuid4()), "producto": "mediano", "cantidad": 1}


@contextmanager
def selling(url: str, tokens: list[str], pause_s: float) -> Iterator[Load]:
    """Let a seller per token sell, with a pause after each answer, as long as the block runs.

    Every request has a connection of its own and is not repeated, whatever the answer.
    """
    load, stop = Load(), threading.Event()
    with ThreadPoolExecutor(len(tokens), thread_name_prefix="seller") as pool:
        sellers = [pool.submit(_sell, _client(url, token, stop), load, pause_s) for token in tokens]
        try:
            yield load
        finally:
            stop.set()
    for seller in sellers:
        seller.result()


def _client(url: str, token: str, stop: threading.Event) -> Api:
    api = Api(url, stop)
    api.token = token
    return api


def _sell(api: Api, load: Load, pause_s: float) -> None:
    while not api.stop.is_set():
        sale, began = _sale(), time.monotonic()
        try:
            status = str(api.send("POST", "/api/v1/ventas/", sale, {}).status)
        except (OSError, http.client.HTTPException) as error:
            status = f"{NO_ANSWER}: {type(error).__name__}"
        # Counters and lists of one interpreter: a thread changes them in one step.
        load.answers[status] += 1
        load.slowest_s = max(load.slowest_s, time.monotonic() - began)
        if status == str(ACCEPTED):
            load.accepted.append(str(sale["id"]))
        api.stop.wait(pause_s)


def burst(url: str, tokens: list[str], sales: int) -> Load:
    """Sell so many at once, in lists of PER_REQUEST. Raises Refused unless all are accepted."""
    load = Load()
    clients = [_client(url, token, threading.Event()) for token in tokens]
    lists = [[_sale() for _ in range(PER_REQUEST)] for _ in range(sales // PER_REQUEST)]
    with ThreadPoolExecutor(len(clients)) as pool:
        list(pool.map(lambda at: clients[at % len(clients)].post("/api/v1/ventas/", lists[at]), range(len(lists))))
    load.answers[str(ACCEPTED)] = len(lists)
    load.accepted = [str(sale["id"]) for one in lists for sale in one]
    return load
