"""A topic, an event, a consumer and a table that belong to one test alone."""

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

SECONDS = 60.0  # a deadline for conditions; they are met in tenths of one


@dataclass
class Sandbox:
    """Something to publish, consume and look at. `Happened` carries a number; what `poison` holds makes the handler fail."""

    topic: Topic
    event: type[Any]
    consumer: Consumer
    poison: set[int] = field(default_factory=set)
    orphans: set[int] = field(default_factory=set)  # numbers whose foreign key fails, but only at COMMIT
    slow: set[int] = field(default_factory=set)  # numbers that keep the transaction busy for a second each
    attempts: int = 0

    def __post_init__(self) -> None:
        self.consumer.handlers[self.event] = self.handle

    def happened(self, n: int, key: str = "") -> Any:
        return self.event.now(id=uuid4(), n=n, name=key or str(n))

    def publish(self, *numbers: int, key: str = "") -> None:
        producer.publish(*[self.happened(n, key) for n in numbers])

    def handle(self, events: list[Any]) -> None:
        """Counts: an event applied twice leaves two rows."""
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
        """The numbers applied, in the order they were written."""
        with connection.cursor() as cursor:
            cursor.execute("SELECT n FROM sandbox_row ORDER BY id")
            return [n for (n,) in cursor.fetchall()]

    def runner(self, **options: Any) -> Runner:
        return Runner(self.consumer, stop=threading.Event(), **options)

    @contextmanager
    def running(self, *runners: Runner) -> Iterator[None]:
        """Runs them in threads for as long as the block; what one of them raises is raised at the end."""
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
        """Writes to the topic as any stranger could."""
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
    """Whether every broker's metadata has the topic with all its partitions: that comes after its creation."""
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
