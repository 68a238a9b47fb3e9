"""The same sales through two consumers: into the accounts, and out of the carts' stock."""

import gc
import threading
import time
from collections.abc import Callable
from statistics import median
from uuid import uuid4

from django.apps import apps
from django.db import connection

from bench import sink
from bench.result import Result
from kafka_bridge.consuming.handlers import consumers
from kafka_bridge.consuming.record import Record
from kafka_bridge.consuming.runner import Runner
from kafka_bridge.models import ConsumerOffset
from stock.seed import sembrar

SUMMARY = "inventario's sales per second against contabilidad's, from the same topic"
SALES, ROUNDS = 100_000, 5
Say = Callable[[str], None]


class Timed(Runner):
    """A consumer as it is, from its first batch to the last of SALES."""

    began = 0.0
    seen = 0

    def apply(self, records: list[Record]) -> bool:
        self.began = self.began or time.perf_counter()
        done = super().apply(records)
        self.seen += len(records) if done else 0
        if self.seen >= SALES:
            self.stop.set()
        return done


def empty_tables() -> None:
    sink.empty_ledger()
    ConsumerOffset.objects.all().delete()
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE stock_carro CASCADE")
        cursor.execute("TRUNCATE kafka_bridge_outboxmessage")


def one_run(name: str) -> float:
    empty_tables()
    runner = Timed(consumers[name], stop=threading.Event(), group=f"bench-{uuid4()}")
    runner.run()
    return SALES / (time.perf_counter() - runner.began)


def run(say: Say) -> Result:
    """Alternating rounds; the ratio is of the medians."""
    sembrar(apps)
    say(f"filling the topic with {SALES:,} sales")
    sink.fill(SALES)
    gc.freeze()  # as run_consumer does
    rounds: dict[str, list[float]] = {"inventario": [], "contabilidad": []}
    for number in range(1, ROUNDS + 1):
        for name, rates in rounds.items():
            rates.append(one_run(name))
            say(f"round {number}/{ROUNDS}: {name} {rates[-1]:,.0f} sales/s")
    ratio = median(rounds["inventario"]) / median(rounds["contabilidad"])
    return Result("inventario", SUMMARY, "sales/s", rounds, ratio, "inventario over contabilidad")
