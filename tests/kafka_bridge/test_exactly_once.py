"""Whatever crashes, moves or is poison: each good event has its effect once, each bad one a dead letter, keys their order."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deploy.embedded.waiting import wait_until
from kafka_bridge import broker
from kafka_bridge.batch import Batch, Partition, Record
from kafka_bridge.models import DeadLetter
from kafka_bridge.runner import Runner
from tests.kafka_bridge.conftest import SECONDS, Bench

KINDS = ["good", "good", "good", "good", "poison", "orphan", "undecodable"]
STEPS = ["polled", "applied", "committed"]


class Crash(Exception):
    """The process ends here."""


@dataclass
class Accidents:
    """Which step of which round is the last of a runner's life; shared by all lives."""

    planned: list[str]
    lock: threading.Lock = field(default_factory=threading.Lock)

    def may_happen(self, step: str) -> None:
        with self.lock:
            if self.planned and self.planned[0] == step:
                self.planned.pop(0)
                raise Crash


class MortalRunner(Runner):
    """A runner that crashes where the accidents say: with a batch in hand, before or after the database's commit."""

    accidents: Accidents

    def _apply(self, records: list[Record]) -> bool:
        self.accidents.may_happen("polled")
        done = super()._apply(records)
        self.accidents.may_happen("applied")
        return done

    def _committed(self, batch: Batch, offsets: dict[Partition, int]) -> None:
        self.accidents.may_happen("committed")  # the rows are there, Kafka has not been told
        super()._committed(batch, offsets)


def live_and_die(bench: Bench, accidents: Accidents, stop: threading.Event) -> None:
    """A process manager: starts the runner again after each crash."""
    while not stop.is_set():
        runner = MortalRunner(bench.consumer, stop=stop)
        runner.accidents = accidents
        try:
            runner.run()
        except Crash:
            continue


def publish(bench: Bench, kinds: list[str]) -> None:
    for n, kind in enumerate(kinds):
        if kind == "undecodable":
            bench.send_raw(b"{", [("ce_type", bench.event.type.encode())], partition=n % bench.topic.partitions)
        else:
            bench.publish(n, key=str(n % 3))
    bench.poison = {n for n, kind in enumerate(kinds) if kind == "poison"}
    bench.orphans = {n for n, kind in enumerate(kinds) if kind == "orphan"}


def is_done(bench: Bench) -> bool:
    ends = broker.end_offsets(broker.partitions_of(bench.topic.name))
    return bench.offsets() == {partition: end for (_, partition), end in ends.items()}


@pytest.mark.usefixtures("table")
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kinds=st.lists(st.sampled_from(KINDS), min_size=1, max_size=60),
    crashes=st.lists(st.sampled_from(STEPS), max_size=6),
    members=st.integers(1, 2),
    max_batch=st.integers(1, 25),
)
def test_each_event_counts_once(
    make_bench: Callable[..., Bench], kinds: list[str], crashes: list[str], members: int, max_batch: int
) -> None:
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE bench_row, kafka_bridge_deadletter")
    bench = make_bench(max_batch=max_batch)
    publish(bench, kinds)
    stop, accidents = threading.Event(), Accidents(crashes)
    lives = [threading.Thread(target=live_and_die, args=[bench, accidents, stop]) for _ in range(members)]
    for thread in lives:
        thread.start()
    try:
        wait_until(lambda: is_done(bench), 2 * SECONDS)
    finally:
        stop.set()
        for thread in lives:
            thread.join(SECONDS)
    good = [n for n, kind in enumerate(kinds) if kind == "good"]
    assert sorted(bench.rows()) == good
    for key in range(3):
        assert [n for n in bench.rows() if n % 3 == key] == [n for n in good if n % 3 == key]
    assert DeadLetter.objects.count() == len(kinds) - len(good)
    assert dead_numbers() == {n for n, kind in enumerate(kinds) if kind in ("poison", "orphan")}


def dead_numbers() -> set[Any]:
    letters = DeadLetter.objects.filter(reason="handler")
    return {msgspec.json.decode(bytes(letter.value or b""))["n"] for letter in letters}
