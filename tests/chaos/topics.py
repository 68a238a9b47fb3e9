"""Acts on topics while everything runs: partitions are added, a topic is deleted and made again.

Nothing that was accepted may be deleted unread. So before a topic is deleted, the gate holds the
requests that become its messages, and the act waits until none of them is on its way (`Consumed`).
The requests go on while the topic is away, and their events wait in the outbox.
"""

import re
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final

from confluent_kafka.admin import AdminClient
from django.db import connection
from django.utils import timezone

from deploy.embedded.waiting import wait_until
from kafka_bridge.brokers import topic_admin
from kafka_bridge.consuming import progress
from kafka_bridge.consuming.handlers import consumers
from kafka_bridge.consuming.progress import TopicEnds
from kafka_bridge.exceptions import KafkaUnavailable
from kafka_bridge.models import ConsumerOffset, OutboxMessage
from mamochi_site.local.system import CHECKOUT, System, manage
from tests.chaos.gate import Gate

LIMIT_S: Final = 180.0  # for each wait of an act; two loaded cores are slow after an outage of all brokers
EVERY_S: Final = 0.2
GROWN: Final = "KAFKA_PARTITIONS"


@dataclass(frozen=True)
class Source:
    """What becomes messages of a topic: requests of these kinds, and messages of these topics."""

    requests: frozenset[str]
    topics: tuple[str, ...] = ()


VENTAS: Final = "mamochi.ventas"
INSCRIPCIONES: Final = "mamochi.inscripciones"
MAESTROS: Final = "mamochi.maestros"
STOCK: Final = "mamochi.stock"
SOURCES: Final = {
    VENTAS: Source(frozenset({"venta", "anulacion"})),
    INSCRIPCIONES: Source(frozenset({"inscripcion"})),
    MAESTROS: Source(frozenset({"inscripcion"}), (INSCRIPCIONES,)),
    STOCK: Source(frozenset({"venta", "anulacion", "aviso", "inscripcion"}), (VENTAS, INSCRIPCIONES, MAESTROS)),
}


class NotNow(Exception):
    """The run ends before the topic is consumed, so nothing was done."""


@dataclass(frozen=True)
class Change:
    """An act that was done; times are in seconds.

    `messages`: in how many of its partitions messages were, and how many it had. `held`: how long
    requests waited until the topic was consumed. `away`: how long it did not exist, from `gone`
    (since the run began) on. `found`: how long the running consumers then took to apply all that
    had waited, or to find the new partitions.
    """

    topic: str
    messages: tuple[int, int]
    held: float
    gone: float
    away: float
    found: float


class TopicActs:
    """Changes topics of a running system with its own commands, and notes what that cost."""

    def __init__(self, system: System, gate: Gate, stop: threading.Event, clock: Callable[[], float]) -> None:
        self.system = system
        self.gate = gate
        self.stop = stop
        self.clock = clock
        self.grown: list[Change] = []
        self.made_again: list[Change] = []
        self.partitions: dict[str, int] = {}  # how many each topic should have, once partitions were added

    @contextmanager
    def more_partitions(self) -> Iterator[str]:
        """Give each topic more partitions; processes that start from now on know of them."""
        connection.close()  # PostgreSQL may have been killed since the last act
        topics = topic_admin.declared_topics()
        before = topic_admin.partition_counts(topics)
        wanted = {topic.name: before[topic.name] + topic.partitions for topic in topics}
        self.partitions = wanted
        target = ", ".join(f"{name.rpartition('.')[2]} {count}" for name, count in wanted.items())
        self._set(GROWN, ",".join(f"{name}={count}" for name, count in wanted.items()))
        self._manage("add_partitions")
        added = self.clock()
        yield target
        self._wait(lambda: all(_is_found(*one) for one in wanted.items()), "no consumer took the new partitions")
        self.grown.append(Change(target, (0, 0), 0.0, added, 0.0, self.clock() - added))
        connection.close()

    @contextmanager
    def delete_and_make(self, topic: str) -> Iterator[str]:
        """Delete the topic once all of it is consumed, and create it again when the block ends."""
        connection.close()
        source, began = SOURCES[topic], self.clock()
        with self.gate.holding(source.requests):
            self._wait_until_consumed((*source.topics, topic))
            consumed = self.clock()
            ends = self._ends(topic).offsets
            self._delete(topic)
        gone = self.clock()
        yield topic
        self._manage("prepare")
        back = self.clock()
        self._wait_until_read(topic)
        messages = (sum(end > 0 for end in ends.values()), len(ends))
        self.made_again.append(Change(topic, messages, consumed - began, gone, back - gone, self.clock() - back))
        connection.close()

    def _wait_until_consumed(self, topics: Sequence[str]) -> None:
        """Wait until nothing is on its way to these topics or unread in them. Raises NotNow."""

        def done() -> bool:
            if self.stop.is_set():
                raise NotNow
            return all_consumed(topics)

        self._wait(done, f"not all of {', '.join(topics)} was consumed")

    def _wait_until_read(self, topic: str) -> None:
        """Wait until each consumer has applied all that was accepted until now."""
        waiting = OutboxMessage.objects.filter(topic=topic, created_at__lt=timezone.now())
        self._wait(lambda: not waiting.exists(), f"events for {topic} stayed in the outbox")
        ends = self._ends(topic)
        self._wait(lambda: not _unread(topic, ends), f"{topic} was not read after it was made again")

    def _ends(self, topic: str) -> TopicEnds:
        """Return where the topic ends, once Kafka tells."""
        ends: list[TopicEnds] = []

        def known() -> bool:
            with suppress(KafkaUnavailable):
                ends.append(progress.topic_ends(topic))
            return bool(ends)

        self._wait(known, f"Kafka did not tell where {topic} ends")
        return ends[0]

    def _delete(self, topic: str) -> None:
        """Delete the topic; return once no broker can take a message for it any more."""
        admin = AdminClient({"bootstrap.servers": self.system.stack.kafka.url, "log_level": 0})
        admin.delete_topics([topic], operation_timeout=LIMIT_S / 3)[topic].result()
        brokers = self.system.stack.kafka.brokers
        folders = [broker.folder / "log" for broker in brokers]
        name = re.compile(re.escape(topic) + r"-\d+")  # a deleted partition's folder gets another name at once
        self._wait(
            lambda: not any(name.fullmatch(path.name) for folder in folders for path in folder.iterdir()),
            f"a broker still had {topic}",
        )

    def _set(self, variable: str, value: str) -> None:
        """Set a variable of the deployment: processes get it when they start the next time."""
        self.system.environment[variable] = value
        for process in self.system.applications.values():
            process.env = {**process.env, variable: value}

    def _manage(self, command: str) -> None:
        process = self.system.stack.run(command, manage(command), cwd=CHECKOUT, env=self.system.environment)
        process.wait(LIMIT_S)

    def _wait(self, condition: Callable[[], bool], otherwise: str) -> None:
        wait_until(condition, LIMIT_S, what=otherwise, interval=EVERY_S)


def all_consumed(topics: Sequence[str]) -> bool:
    """Return True if these topics are consumed and no message for one of them can come any more.

    The requests that become their messages must be held. Then all that was accepted is in the
    outbox or in Kafka, and a consumer stores its offset together with what it adds to the outbox.
    So this holds if nothing is unread, the outbox is empty after that, and the topics end where
    they ended before.
    """
    try:
        ends = {topic: progress.topic_ends(topic) for topic in topics}
        if any(_unread(topic, end) for topic, end in ends.items()):
            return False
        if OutboxMessage.objects.filter(topic__in=topics).exists():
            return False
        return ends == {topic: progress.topic_ends(topic) for topic in topics}
    except KafkaUnavailable:
        return False


def lag() -> int:
    """Return how many messages the consumers have not applied, in all partitions that there are.

    Raises KafkaUnavailable.
    """
    ends = {topic.name: progress.topic_ends(topic.name) for topic in topic_admin.declared_topics()}
    return sum(_unread(topic, end) for topic, end in ends.items())


def _unread(topic: str, ends: TopicEnds) -> int:
    """Return how many messages below these ends the consumers of the topic have not applied."""
    return sum(sum(progress.remaining(reader, topic, ends).values()) for reader in _readers(topic))


def _readers(topic: str) -> list[str]:
    return [name for name in consumers if topic in progress.topic_names(name)]


def _is_found(topic: str, count: int) -> bool:
    """Return True if each consumer of the topic has taken that many partitions."""
    taken = ConsumerOffset.objects.filter(consumer__in=_readers(topic), topic=topic, partition__lt=count)
    return taken.count() == count * len(_readers(topic))
