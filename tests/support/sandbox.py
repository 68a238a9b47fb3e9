"""A topic, an event, a consumer and a table that only one test uses."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar, cast
from uuid import uuid4

from confluent_kafka import Consumer as KafkaConsumer
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from django.conf import settings
from django.db import connection

from deploy.embedded.waiting import wait_until
from kafka_bridge.brokers import client, topic_admin
from kafka_bridge.consuming.handlers import Consumer
from kafka_bridge.consuming.record import Record
from kafka_bridge.consuming.runner import Runner
from kafka_bridge.events.event import Event
from kafka_bridge.events.topics import Topic
from kafka_bridge.models import ConsumerOffset
from kafka_bridge.publishing import producer
from tests.support import consumers

# The deadline for conditions, most of which hold within tenths of a second.
SECONDS = 60.0


@dataclass
class Sandbox:
    """An event `Happened` with a number, its topic, and a consumer that writes numbers to a table.

    The handler fails for the numbers in `poison`. A number in `orphans` breaks a foreign key, which
    is checked at COMMIT. A number in `slow` keeps the transaction busy for so
    many seconds.
    """

    topic: Topic
    event: type[Any]
    consumer: Consumer
    poison: set[int] = field(default_factory=set)
    orphans: set[int] = field(default_factory=set)
    slow: dict[int, int] = field(default_factory=dict)
    attempts: int = 0

    def __post_init__(self) -> None:
        self.consumer.handlers[self.event] = self.handle

    def happened(self, n: int, key: str = "") -> Any:
        return self.event.now(id=uuid4(), n=n, name=key or str(n))

    def publish(self, *numbers: int, key: str = "") -> None:
        producer.publish(*[self.happened(n, key) for n in numbers])

    def handle(self, events: list[Any]) -> None:
        """Insert one row per event, so that an event applied twice leaves two rows."""
        self.attempts += 1
        with connection.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO sandbox_row (event_id, n, parent) VALUES (%s, %s, %s)",
                [(event.id, event.n, -1 if event.n in self.orphans else 0) for event in events],
            )
            for n in self.slow.keys() & {event.n for event in events}:
                cursor.execute("SELECT pg_sleep(%s)", [self.slow[n]])
        for event in events:
            if event.n in self.poison:
                raise ValueError(f"{event.n} is poison")

    def rows(self) -> list[int]:
        """Return the numbers applied, in the order in which they were written."""
        with connection.cursor() as cursor:
            cursor.execute("SELECT n FROM sandbox_row ORDER BY id")
            return [n for (n,) in cursor.fetchall()]

    def runner(self, **options: Any) -> Runner:
        return Runner(self.consumer, stop=threading.Event(), **options)

    @contextmanager
    def running(self, *runners: Runner) -> Iterator[None]:
        """Run the runners (by default a new one) in threads until the block ends.

        The first error of a runner is raised at the end.
        """
        with consumers.running(*[partial(_run, runner) for runner in runners or [self.runner()]]):
            yield

    def poll(self, runner: Runner) -> list[Record]:
        """Let the runner join its group, and return its first batch without applying it."""
        records: list[Record] = []

        def some() -> bool:
            runner.position()
            records.extend(runner.poll())
            return bool(records)

        runner.subscribe()
        wait_until(some, SECONDS)
        return records

    def send_raw(self, value: bytes | None, headers: list[tuple[str, str | bytes | None]], partition: int = 0) -> None:
        """Write raw bytes and headers to the topic, as any program with access to Kafka could."""
        raw = Producer({**settings.KAFKA_CLIENT_CONFIG, "acks": "all"})
        raw.produce(self.topic.name, partition=partition, value=value, headers=headers)
        assert raw.flush(SECONDS) == 0

    def offsets(self) -> dict[int, int]:
        rows = ConsumerOffset.objects.filter(consumer=self.consumer.name, topic=self.topic.name)
        return dict(rows.values_list("partition", "next_offset"))

    def delete_topic(self) -> None:
        admin: AdminClient = client.admin()
        admin.delete_topics([self.topic.name])[self.topic.name].result()
        wait_until(lambda: self.topic.name not in admin.list_topics(timeout=5).topics, SECONDS)

    def recreate_topic(self) -> None:
        """Delete the topic with its messages, and create it again."""
        before = topic_admin.topic_uuids([self.topic.name])
        self.delete_topic()
        topic_admin.create_topics([self.topic])
        wait_until(lambda: is_there(self.topic) and topic_admin.topic_uuids([self.topic.name]) != before, SECONDS)


def _run(runner: Runner, stop: threading.Event) -> None:
    runner.stop = stop
    runner.run()


def is_there(topic: Topic) -> bool:
    """Return True once the metadata list the topic with all partitions, soon after its creation."""
    found = client.admin().list_topics(timeout=SECONDS).topics.get(topic.name)
    return found is not None and len(found.partitions) == topic.partitions


def happened_on(own_topic: Topic, own_type: str) -> type[Event]:
    class Happened(Event, frozen=True):
        type: ClassVar[str] = own_type
        topic: ClassVar[Topic] = own_topic
        n: int
        name: str
        urgent: bool = False

        @property
        def key(self) -> str:
            return self.name

        @property
        def priority(self) -> bool:
            return self.urgent

    return Happened


class _Replaced:
    """A Kafka consumer with some methods replaced: the client's own cannot be patched."""

    def __init__(self, kafka: KafkaConsumer, methods: dict[str, Callable[..., Any]]) -> None:
        self._kafka = kafka
        self.__dict__.update(methods)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._kafka, name)


def replace_methods(runner: Runner, **methods: Callable[..., Any]) -> None:
    """Replace methods of the runner's Kafka consumer."""
    runner.kafka = runner.partitions.kafka = cast(KafkaConsumer, _Replaced(runner.kafka, methods))
