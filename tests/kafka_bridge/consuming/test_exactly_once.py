"""Each good event has its effect once, whatever crashes, moves or is poison.

Each bad message becomes one dead letter, and the events of a key keep their order.
"""

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar
from uuid import uuid4

import pytest
from confluent_kafka import Consumer as KafkaConsumer
from confluent_kafka import KafkaException, TopicPartition
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deploy.embedded.waiting import wait_until
from kafka_bridge.consuming import runner as runner_module
from kafka_bridge.consuming.batch import Batch
from kafka_bridge.consuming.partitions import positions
from kafka_bridge.consuming.partitions.held import LanePartitions
from kafka_bridge.consuming.partitions.positions import Positions
from kafka_bridge.consuming.record import Record
from kafka_bridge.consuming.runner import Runner
from kafka_bridge.events.event import registered
from kafka_bridge.events.topics import Partition
from kafka_bridge.models import DeadLetter
from kafka_bridge.publishing import producer
from tests.support.sandbox import SECONDS, Sandbox

KINDS = ["good", "good", "other type", "other type", "poison", "orphan", "undecodable"]
# In a rebalance; before the offsets of partitions are read, and before the seek; with a batch
# polled; in its transaction, after the offsets, the rows and the dead letters; after COMMIT, before
# and after the commit to Kafka.
CRASHES = [
    "assigned",
    "revoked",
    "claiming",
    "claimed",
    "polled",
    "advanced",
    "handled",
    "written",
    "committed",
    "committed to Kafka",
]
ACCIDENTS = [*CRASHES, "rewound"]


class Crash(BaseException):
    """The process of a consumer ends at this step. No handler of errors sees it."""


@dataclass
class Accidents:
    """The accidents that are still to happen, by step. All lives of all members share them."""

    planned: Counter[str]
    lock: threading.Lock = field(default_factory=threading.Lock)

    def happens(self, step: str) -> bool:
        with self.lock:
            due = self.planned[step] > 0
            self.planned[step] -= due
        return due

    def may_crash(self, step: str) -> None:
        if self.happens(step):
            raise Crash(step)

    @property
    def over(self) -> bool:
        return not +self.planned


class MortalBatch(Batch):
    """A batch that may crash after each step of its transaction."""

    accidents: ClassVar[Accidents]

    @contextmanager
    def advanced(self, held: dict[Partition, int], offsets: dict[Partition, int]) -> Iterator[None]:
        with super().advanced(held, offsets):
            self.accidents.may_crash("advanced")
            yield

    def set_aside(self, before: Sequence[bool]) -> None:
        self.accidents.may_crash("handled")
        super().set_aside(before)
        self.accidents.may_crash("written")


class MortalPartitions(LanePartitions):
    """The partitions of a lane that may crash when it gets them, and when it gives them back."""

    accidents: ClassVar[Accidents]

    def on_assign(self, kafka: KafkaConsumer, assigned: list[TopicPartition]) -> None:
        super().on_assign(kafka, assigned)
        self.accidents.may_crash("assigned")

    def on_revoke(self, kafka: KafkaConsumer, revoked: list[TopicPartition]) -> None:
        super().on_revoke(kafka, revoked)
        self.accidents.may_crash("revoked")

    def assign_at(self, partition: Partition, offset: int) -> None:
        self.accidents.may_crash("claimed")
        super().assign_at(partition, offset)


class MortalRunner(Runner):
    """A runner that may crash at each step, and whose Kafka may deliver everything again."""

    accidents: Accidents

    def apply(self, records: list[Record]) -> bool:
        self.accidents.may_crash("polled")
        return super().apply(records)

    def committed(self, batch: Batch, offsets: dict[Partition, int]) -> None:
        self.accidents.may_crash("committed")
        super().committed(batch, offsets)
        self.accidents.may_crash("committed to Kafka")

    def step(self) -> bool:
        if self.partitions.held and self.accidents.happens("rewound"):
            self._rewind()
        return super().step()

    def _rewind(self) -> None:
        """Let Kafka deliver everything again."""
        for partition in self.partitions.held:
            try:
                self.kafka.seek(TopicPartition(*partition, 0))
            except KafkaException:  # not started yet: all that it delivers is new anyway
                continue


def live_and_die(sandbox: Sandbox, accidents: Accidents, stop: threading.Event, group: str) -> None:
    """Start the runner again after each crash, as a process manager does."""
    while not stop.is_set():
        runner = MortalRunner(sandbox.consumer, stop=stop, group=f"{sandbox.consumer.name}-{group}")
        runner.accidents = accidents
        try:
            runner.run()
        except Crash:
            continue


@dataclass
class Sent:
    """The messages sent: the kind of each number, and the place where it must lie in Kafka."""

    sandbox: Sandbox
    other: type[Any]
    kinds: list[str] = field(default_factory=list)
    places: list[tuple[int, int]] = field(default_factory=list)  # by number: partition, offset
    ends: Counter[int] = field(default_factory=Counter)

    def send(self, kind: str) -> None:
        n, topic = len(self.kinds), self.sandbox.topic
        self.kinds.append(kind)
        partition = n % topic.partitions if kind == "undecodable" else topic.partition_for(str(n % 3), priority=False)
        self.places.append((partition, self.ends[partition]))
        self.ends[partition] += 1
        self.sandbox.poison |= {n} if kind == "poison" else set()
        self.sandbox.orphans |= {n} if kind == "orphan" else set()
        if kind == "undecodable":
            self.sandbox.send_raw(b"{", [("ce_type", self.sandbox.event.type.encode())], partition)
        else:
            event = self.other if kind == "other type" else self.sandbox.event
            producer.publish(event.now(id=uuid4(), n=n, name=str(n % 3)))

    def numbers(self, *kinds: str) -> list[int]:
        return [n for n, kind in enumerate(self.kinds) if kind in kinds]

    def is_applied(self) -> bool:
        return self.sandbox.offsets() == {
            partition: self.ends[partition] for partition in range(self.sandbox.topic.partitions)
        }


@contextmanager
def another_type(sandbox: Sandbox) -> Iterator[type[Any]]:
    class Also(sandbox.event, frozen=True):  # type: ignore[name-defined, misc, call-arg]
        type: ClassVar[str] = f"mamochi.sandbox.also-{uuid4()}.v1"

    sandbox.consumer.handlers[Also] = sandbox.handle
    yield Also
    del registered[Also.type]


@contextmanager
def members(sandbox: Sandbox, accidents: Accidents, groups: list[str]) -> Iterator[None]:
    stop = threading.Event()
    lives = [threading.Thread(target=live_and_die, args=[sandbox, accidents, stop, group]) for group in groups]
    for thread in lives:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in lives:
            thread.join(SECONDS)
    assert not any(thread.is_alive() for thread in lives)


def check(
    make_sandbox: Callable[..., Sandbox], kinds: list[str], plan: list[str], groups: list[str], max_batch: int
) -> None:
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE sandbox_row, kafka_bridge_deadletter")
    sandbox = make_sandbox(max_batch=max_batch)
    # A consumer gives its partitions back when it ends: each crash there needs an end before.
    accidents = Accidents(Counter(plan) + Counter(polled=plan.count("revoked")))
    MortalBatch.accidents = MortalPartitions.accidents = accidents
    with another_type(sandbox) as other:
        sent = Sent(sandbox, other)
        for kind in kinds:
            sent.send(kind)

        def over() -> bool:
            if sent.is_applied() and not accidents.over:
                sent.send("good")  # work, for the remaining accidents to happen in
            return sent.is_applied() and accidents.over

        with members(sandbox, accidents, groups):
            wait_until(over, 2 * SECONDS)
    check_effects(sent)
    check_dead_letters(sent)


def check_effects(sent: Sent) -> None:
    rows, good = sent.sandbox.rows(), sent.numbers("good", "other type")
    assert sorted(rows) == good
    for kind in ("good", "other type"):
        for key in range(3):
            expected = [n for n in sent.numbers(kind) if n % 3 == key]
            assert [n for n in rows if n in expected] == expected


def check_dead_letters(sent: Sent) -> None:
    for reason, kinds in (("handler", ["poison", "orphan"]), ("undecodable", ["undecodable"])):
        letters = DeadLetter.objects.filter(reason=reason).values_list("partition", "offset")
        assert sorted(letters) == sorted(sent.places[n] for n in sent.numbers(*kinds))


def mortal_claim(accidents: Callable[[], Accidents]) -> Callable[..., Positions]:
    real = positions.claim

    def mortal(*arguments: Any, **options: Any) -> Positions:
        accidents().may_crash("claiming")
        return real(*arguments, **options)

    return mortal


@pytest.fixture
def mortal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner_module, "Batch", MortalBatch)
    monkeypatch.setattr(runner_module, "LanePartitions", MortalPartitions)
    monkeypatch.setattr(positions, "claim", mortal_claim(lambda: MortalBatch.accidents))


scenario = given(
    kinds=st.lists(st.sampled_from(KINDS), min_size=1, max_size=60),
    plan=st.lists(st.sampled_from(ACCIDENTS), max_size=6),
    zombie=st.booleans(),
    max_batch=st.integers(1, 25),
)
patient = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.mark.slow
@pytest.mark.usefixtures("table", "mortal")
@settings(patient, max_examples=4)
@scenario
def test_each_event_counts_once(
    make_sandbox: Callable[..., Sandbox], kinds: list[str], plan: list[str], zombie: bool, max_batch: int
) -> None:
    """A zombie continues with partitions that others hold now: its own group has all of them."""
    check(make_sandbox, kinds, plan, ["live", "zombie"] if zombie else ["live", "live"], max_batch)


@pytest.mark.chaos
@pytest.mark.usefixtures("table", "mortal")
@settings(patient, max_examples=60)
@scenario
def test_many_scenarios_count_once(
    make_sandbox: Callable[..., Sandbox], kinds: list[str], plan: list[str], zombie: bool, max_batch: int
) -> None:
    check(make_sandbox, kinds, plan, ["live", "live", "zombie"] if zombie else ["live", "live"], max_batch)


@pytest.mark.slow
@pytest.mark.usefixtures("table", "mortal")
def test_a_crash_at_every_step(make_sandbox: Callable[..., Sandbox]) -> None:
    check(make_sandbox, [*KINDS, *KINDS], ACCIDENTS, ["live"], max_batch=5)
