"""Sends the orders of a load and notes each answer; on an event loop in this process."""

import asyncio
import gc
import json
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

import uvloop

from bench.openloop.http import Answer, Pool
from bench.openloop.orders import Kind, Maestro, Order
from kafka_bridge.events.ids import uuid7

MOST_CONNECTIONS: Final = 4_096  # each phone has its own: what waits, waits at the web
PATIENCE_SECONDS: Final = 15.0  # clients wait longer than the API's deadline
ACCEPTED: Final = 202
PATHS: Final = {Kind.SALE: "ventas/", Kind.NOTICE: "stock/avisos/"}


@dataclass
class Sent:
    """What a load sent, and the answers; moments are of perf_counter, times in ms from the due one.

    `accepted` has the moment of each 202, by kind, maestro and id; `uncertain` the sales that got
    no 202, and may have been accepted all the same.
    """

    accepted: dict[Kind, dict[tuple[UUID, UUID], float]] = field(default_factory=lambda: {kind: {} for kind in Kind})
    uncertain: set[tuple[UUID, UUID]] = field(default_factory=set)
    answers: dict[int, list[float]] = field(default_factory=dict)  # to sales, by status
    statuses: Counter[int] = field(default_factory=Counter)  # of all requests
    lacking: Counter[str] = field(default_factory=Counter)  # requests without an answer, by kind and reason
    without_retry_after: int = 0
    seconds: float = 0.0  # until the last request was sent
    answered_after: float = 0.0  # seconds, until the last answer
    generator_cpu: float = 0.0  # seconds

    @property
    def sales(self) -> dict[tuple[UUID, UUID], float]:
        """Return the moment of each sale's 202, by maestro and sale."""
        return self.accepted[Kind.SALE]

    def times(self) -> list[float]:
        """Return the times of all answers to sales, in ms."""
        return [ms for each in self.answers.values() for ms in each]

    def note(self, order: Order, ids: tuple[UUID, UUID], answer: Answer, ms: float) -> None:
        """Note an answer that came `ms` after the order was due."""
        self.statuses[answer.status] += 1
        if answer.status == ACCEPTED:
            self.accepted[order.kind][ids] = time.perf_counter()
        if order.kind is Kind.SALE:
            self.answers.setdefault(answer.status, []).append(ms)
            if answer.status != ACCEPTED:
                self.uncertain.add(ids)
        if answer.lack:
            self.lacking[f"{order.kind.name.lower()}, {answer.lack} ({ms / 1_000:.0f} s)"] += 1
        self.without_retry_after += answer.status in (429, 503) and "retry-after:" not in answer.head

    def check(self) -> None:
        """Raise RuntimeError unless each answer was 202."""
        if self.statuses.keys() - {ACCEPTED}:
            lacking = f", without answer {dict(self.lacking)}" if self.lacking else ""
            raise RuntimeError(f"answers by status: {dict(self.statuses)}{lacking}; every one should be 202")


def send(port: int, maestros: Sequence[Maestro], orders: Iterable[Order], sent: Sent) -> None:
    """Send the orders when they are due; return when each has its answer or none in 15 s."""
    cpu = time.process_time()
    with _without_pauses():
        uvloop.run(_send(port, maestros, orders, sent))
    sent.generator_cpu += time.process_time() - cpu


@contextmanager
def _without_pauses() -> Iterator[None]:
    """Keep the garbage collector from stopping the load for what stays until its end anyway."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


async def _send(port: int, maestros: Sequence[Maestro], orders: Iterable[Order], sent: Sent) -> None:
    pool, began = Pool(port, MOST_CONNECTIONS, PATIENCE_SECONDS), time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for order in orders:
            wait = began + order.due - time.perf_counter()
            if wait > 0:
                await asyncio.sleep(wait)
            group.create_task(_one(pool, maestros[order.maestro], order, began, sent))
        sent.seconds = time.perf_counter() - began
    sent.answered_after = time.perf_counter() - began
    pool.close()


async def _one(pool: Pool, maestro: Maestro, order: Order, began: float, sent: Sent) -> None:
    own = uuid7()
    body = {"id": str(own), "producto": "mediano", "cantidad": 1} if order.kind is Kind.SALE else {}
    answer = await pool.post(PATHS[order.kind], maestro.token, json.dumps(body))
    if order.kind is Kind.NOTICE and answer.status == ACCEPTED:
        own = UUID(json.loads(answer.body)["id"])
    sent.note(order, (maestro.id, own), answer, (time.perf_counter() - began - order.due) * 1_000)
