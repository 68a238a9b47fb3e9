"""Signs of life: Kafka acknowledges, rows are written. The silence is the cost of a fault."""

import threading
import time
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from typing import Final

import psycopg
from confluent_kafka import KafkaError, Producer
from confluent_kafka import Message as KafkaMessage

from kafka_bridge.events.topics import Topic

PROBE: Final = Topic(
    name="chaos.probe", partitions=3
)  # like our topics: three replicas, of which two must have a record
EVERY_S: Final = 0.2
PROGRESS: Final = "SELECT sum(next_offset) FROM kafka_bridge_consumeroffset WHERE consumer = 'contabilidad'"


class KafkaPulse(threading.Thread):
    """A thread that writes to each partition and notes when all in-sync replicas acknowledged."""

    def __init__(self, bootstrap: str, stop: threading.Event, clock: Callable[[], float]) -> None:
        super().__init__(daemon=True)
        self.stop = stop
        self.clock = clock
        self.acknowledged: dict[int, list[tuple[float, float]]] = defaultdict(list)  # (sent, acknowledged) by partition
        self.producer = Producer(
            {"bootstrap.servers": bootstrap, "enable.idempotence": True, "acks": "all", "log_level": 0}
        )

    def run(self) -> None:
        """Work until the stop."""
        while not self.stop.is_set():
            for partition in range(PROBE.partitions):
                report = partial(self._report, partition, self.clock())
                self.producer.produce(PROBE.name, b"probe", partition=partition, on_delivery=report)
            self.producer.poll(EVERY_S)
            time.sleep(EVERY_S)
        self.producer.flush(30)

    def _report(self, partition: int, sent: float, error: KafkaError | None, _message: KafkaMessage) -> None:
        if error is None:
            self.acknowledged[partition].append((sent, self.clock()))

    def next_after(self, moment: float) -> float | None:
        """Return the seconds until each partition acknowledged a later message, or None."""
        waits = [
            next((acknowledged - moment for sent, acknowledged in [*seen] if sent >= moment), None)
            for seen in self.acknowledged.values()
        ]
        return None if None in waits or not waits else max(wait for wait in waits if wait is not None)


class RowsPulse(threading.Thread):
    """A thread that notes when `contabilidad` commits batches, on its own connection."""

    def __init__(self, database: str, stop: threading.Event, clock: Callable[[], float]) -> None:
        super().__init__(daemon=True)
        self.database = database
        self.stop = stop
        self.clock = clock
        self.moved: list[float] = []

    def run(self) -> None:
        """Work until the stop; a missing database is one missing sign of life."""
        while not self.stop.wait(EVERY_S):
            try:
                self._watch()
            except psycopg.Error:
                continue

    def _watch(self) -> None:
        with psycopg.connect(self.database, autocommit=True, connect_timeout=2) as connection:
            before = None
            while not self.stop.wait(EVERY_S):
                [(progress,)] = connection.execute(PROGRESS).fetchall()
                if before is not None and progress > before:  # less: a topic was made again, and begins at 0
                    self.moved.append(self.clock())
                before = progress

    def next_after(self, moment: float) -> float | None:
        """Return the seconds from `moment` to the next commit, or None."""
        index = bisect_right(self.moved, moment)
        return self.moved[index] - moment if index < len(self.moved) else None
