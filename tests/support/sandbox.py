"""A topic, an event, a consumer and a table that only one test uses."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar
from uuid import uuid4

from confluent_kafka import Producer
from django.db import connection

from kafka_bridge.brokers import client
from kafka_bridge.consuming.handlers import Consumer
from kafka_bridge.consuming.runner import Runner
from kafka_bridge.events.event import Event
from kafka_bridge.events.topics import Topic
from kafka_bridge.models import ConsumerOffset
from kafka_bridge.publishing import producer

# The deadline for conditions, most of which hold within tenths of a second.
SECONDS = 60.0


@dataclass
class Sandbox:
    """An event `Happened` with a number, its topic, and a consumer that writes numbers to a table.

    The handler fails for the numbers in `poison`. For those in `orphans` a foreign key fails at
    COMMIT, and each of those in `slow` keeps the transaction busy for a second.
    """

    topic: Topic
    event: type[Any]
    consumer: Consumer
    poison: set[int] = field(default_factory=set)
    orphans: set[int] = field(default_factory=set)
    slow: set[int] = field(default_factory=set)
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
            for _ in self.slow.intersection(event.n for event in events):
                cursor.execute("SELECT pg_sleep(1)")
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
        failures: list[BaseException] = []

        def run(runner: Runner) -> None:
            try:
                runner.run()
            except BaseException as error:  # noqa: BLE001 - raised below
                failures.append(error)

        threads = [threading.Thread(target=run, args=[runner]) for runner in runners or [self.runner()]]
        used = list(runners)
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            for runner in used:
                runner.stop.set()
            for thread in threads:
                thread.join(SECONDS)
        if failures:
            raise failures[0]

    def send_raw(self, value: bytes | None, headers: list[tuple[str, str | bytes | None]], partition: int = 0) -> None:
        """Write raw bytes and headers to the topic, as any program with access to Kafka could."""
        raw = Producer({"bootstrap.servers": ",".join(_bootstrap()), "acks": "all"})
        raw.produce(self.topic.name, partition=partition, value=value, headers=headers)
        assert raw.flush(SECONDS) == 0

    def offsets(self) -> dict[int, int]:
        rows = ConsumerOffset.objects.filter(consumer=self.consumer.name, topic=self.topic.name)
        return dict(rows.values_list("partition", "next_offset"))


def _bootstrap() -> list[str]:
    from django.conf import settings

    return str(settings.KAFKA_BOOTSTRAP_SERVERS).split(",")


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
