"""One policy's day: sales come, pods come and go, and each second is noted."""

import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import numpy as np
from confluent_kafka import ConsumerGroupState
from django.db import connection

from bench import cpu, sales
from bench.demanda.day import HOURS, Day, Floats
from bench.demanda.pods import Pods
from bench.demanda.policy import PARTITIONS, Autoscaler, Rule
from bench.demanda.progress import Progress
from bench.demanda.publish import Accepted
from bench.mensajes.brokers import remake_topic
from bench.mensajes.factors import Setting
from bench.openloop.summary import Point
from deploy.embedded.waiting import wait_until
from kafka_bridge.brokers import client
from kafka_bridge.models import DeadLetter
from ventas.events import VENTAS
from ventas.libro import CONTABILIDAD
from ventas.models import Venta

LOOK_SECONDS: Final = 0.25
READY_SECONDS: Final = 120.0
CATCH_UP: Final = 600.0
FIRST: Final = 20 * PARTITIONS  # sales before the day, which show that the pods have joined
SHARES: Final = {"p50": 50, "p95": 95, "p99": 99}
# Each transaction gives its rows an id of its own.
BATCHES: Final = "SELECT count(DISTINCT xmin::text) FROM ventas_venta"


@dataclass(frozen=True)
class Policy:
    """`pods`: at midnight, and all day unless a rule changes the number."""

    name: str
    pods: int
    rule: Rule | None = None


@dataclass
class Trial:
    """What a policy's day runs on: its pods, its sales, and how far these have come."""

    pods: Pods
    accepted: Accepted
    progress: Progress

    @property
    def lag(self) -> int:
        return max(0, self.accepted.count - self.progress.applied)

    def wait(self, seconds: float) -> None:
        """Wait until every accepted sale is a row."""
        wait_until(lambda: not self.lag, seconds, what="every sale is a row")


@contextmanager
def fresh(pods: Pods) -> Iterator[Trial]:
    """Begin with an empty topic, and end without pods. Raises RuntimeError if the audit fails."""
    remake_topic(Setting(partitions=PARTITIONS))
    sales.forget_offsets()
    rows = Venta.objects.count()
    progress = Progress(os.environ["DATABASE_URL"])
    progress.start()
    try:
        trial = Trial(pods, Accepted(), progress)
        yield trial
        trial.wait(CATCH_UP)
    finally:
        pods.end()
        progress.stop()
    audit(trial.accepted, Venta.objects.count() - rows)


def audit(accepted: Accepted, rows: int) -> None:
    """Raise RuntimeError unless what was sent was accepted and is a row, without a dead letter."""
    letters = DeadLetter.objects.count()
    if not accepted.sent == accepted.count == rows or letters:
        raise RuntimeError(
            f"{accepted.sent:,} sales sent, {accepted.count:,} accepted, {rows:,} rows; {letters} dead letters"
        )


def batches() -> int:
    """Return in how many transactions the ledger's rows were written."""
    with connection.cursor() as cursor:
        cursor.execute(BATCHES)
        return int(cursor.fetchone()[0])


def wait_until_shared(count: int) -> None:
    """Wait until so many pods share the partitions of sales and of what else they read."""
    wait_until(lambda: _sharing() == count, READY_SECONDS, what=f"{count} pods share the partitions", interval=0.1)


def _sharing() -> int:
    """Return how many members have partitions; 0 while some of sales are on the move."""
    group = client.admin().describe_consumer_groups([CONTABILIDAD])[CONTABILIDAD].result()
    shares = [member.assignment.topic_partitions for member in group.members]
    of_sales = sum(one.topic == VENTAS.name for share in shares for one in share)
    at_rest = group.state == ConsumerGroupState.STABLE and of_sales == PARTITIONS
    return sum(map(bool, shares)) if at_rest else 0


def measure(policy: Policy, day: Day, pods: Pods, seed: int) -> tuple[Point, list[Point]]:
    """Carry a day out; return its figures, and those of each second.

    What was paid counts until nothing waited, which may be after the day.
    """
    before = batches()
    with fresh(pods) as trial:
        pods.scale(policy.pods)
        wait_until_shared(policy.pods)
        trial.accepted.at_once(FIRST)
        trial.wait(READY_SECONDS)
        pods.look()  # what they have used to start is not the day's
        first = [len(moments) for moments in trial.accepted.moments]
        servers, cpu_before = cpu.seconds({}), pods.cpu
        keeper = Keeper(policy, day, trial, time.perf_counter())
        with ThreadPoolExecutor(1) as thread:
            kept = thread.submit(keeper.keep)
            try:
                trial.accepted.day(keeper.began, day.sales(seed).tolist(), seed)
                wait_until(lambda: kept.done() or keeper.is_over(day.seconds), CATCH_UP, what="the day is over")
            finally:
                keeper.stop()
        kept.result()
        used = {name: seconds - servers[name] for name, seconds in cpu.seconds({}).items()}
    begun, waits = trial.progress.waits(trial.accepted, first)
    used["postgresql"] -= trial.progress.cpu
    sold = trial.accepted.count - FIRST
    ended = keeper.series[-1]["s"]
    figures = {
        "accepted": sold,
        "batches": batches() - before,
        **{f"row, {name}, ms": 1_000 * float(np.percentile(waits, share)) for name, share in SHARES.items()},
        "row, max, ms": 1_000 * float(waits.max()),
        "greatest lag": max(point["lag"] for point in keeper.series),
        "most pods": max(point["pods"] for point in keeper.series),
        "process-hours": keeper.pod_seconds * HOURS / day.seconds,
        "CPU-seconds of pods": pods.cpu - cpu_before,
        "GB-hours": keeper.megabyte_seconds / 1_024 * HOURS / day.seconds,
        "hours until nothing waited": max(0.0, ended - day.seconds) * HOURS / day.seconds,
        "CPU-seconds of PostgreSQL": used["postgresql"],
        "CPU-seconds of Kafka": used["kafka"],
        "most cores of the machine": max(point["cores"] for point in keeper.series),
        "ms late to the producer, max": 1_000 * trial.accepted.latest,
    }
    return figures, _with_waits(keeper.series, begun - keeper.began, waits)


def _with_waits(series: list[Point], begun: Floats, waits: Floats) -> list[Point]:
    """Add to each second the p99 of the sales that were accepted in it."""
    seconds = np.floor(begun) + 1
    for point in series:
        of_this = waits[seconds == point["s"]]
        if len(of_this):
            point["row, p99, ms"] = round(1_000 * float(np.percentile(of_this, 99)), 1)
    return series


class Keeper:
    """Looks after the pods in a thread while another publishes: notes each second, and scales."""

    def __init__(self, policy: Policy, day: Day, trial: Trial, began: float) -> None:
        self.began = began
        self.series: list[Point] = []
        self.pod_seconds = 0.0
        self.megabyte_seconds = 0.0
        self._autoscaler = Autoscaler(policy.rule) if policy.rule else None
        self._day, self._trial = day, trial
        self._done = threading.Event()

    def is_over(self, seconds: float) -> bool:
        """Return whether the day has passed and nothing waits."""
        return bool(self.series) and self.series[-1]["s"] >= seconds and not self._trial.lag

    def stop(self) -> None:
        """Let `keep` return."""
        self._done.set()

    def keep(self) -> None:
        """Look after the pods until `stop`."""
        looked = decided = 0.0
        accepted, worked = self._trial.accepted.count, cpu.machine_seconds()
        while not self._done.wait(LOOK_SECONDS):
            now = time.perf_counter() - self.began
            self._look(now - looked)
            if self._autoscaler and now - decided >= self._autoscaler.rule.every:
                decided = now
                self._scale(self._autoscaler, now)
            if int(now) > int(looked):
                self._note(float(int(now)), self._trial.accepted.count - accepted, cpu.machine_seconds() - worked)
                accepted, worked = self._trial.accepted.count, cpu.machine_seconds()
            looked = now

    def _look(self, seconds: float) -> None:
        """Note what the pods have used in so many seconds."""
        pods = self._trial.pods
        pods.look()
        self.pod_seconds += pods.paid * seconds
        self.megabyte_seconds += pods.megabytes * seconds

    def _scale(self, autoscaler: Autoscaler, now: float) -> None:
        pods, lag = self._trial.pods, float(self._trial.lag)
        pods.scale(autoscaler.decide(now, lag=lag, hour=self._day.hour(now), pods=pods.wanted))

    def _note(self, second: float, accepted: int, worked: float) -> None:
        """Note what the last second was like."""
        self.series.append(
            {
                "s": second,
                "hour": round(second * HOURS / self._day.seconds, 3),
                "accepted per second": float(accepted),
                "lag": float(self._trial.lag),
                "pods": float(self._trial.pods.wanted),
                "cores": round(worked, 2),
            }
        )
