"""The day's sales on their way to Kafka, each when it is due, and when Kafka acknowledges it.

The producer has the product's settings. Accepted is what Kafka has acknowledged.
"""

import time
from collections.abc import Sequence
from typing import Final

import numpy as np
from confluent_kafka import KafkaError, Message, Producer
from django.conf import settings

from bench.demanda.policy import PARTITIONS
from bench.mensajes.publish import Template
from kafka_bridge.publishing.producer import kafka_config
from ventas.events import VENTAS

POLL_SECONDS: Final = 0.005
FLUSH_SECONDS: Final = 30.0
WAITING: Final = 50_000  # of a backlog that is on its way at most


class Accepted:
    """Publishes sales, and has the moments of their acknowledgements by partition and offset."""

    def __init__(self) -> None:
        self.producer = Producer({**settings.KAFKA_CLIENT_CONFIG, **kafka_config()})
        self.moments: list[list[float]] = [[] for _ in range(PARTITIONS)]
        self.latest = 0.0  # seconds by which a sale was handed to the producer too late, at most
        self.sent = 0
        self._template = Template(padding=0)
        self._failures: list[KafkaError] = []

    @property
    def count(self) -> int:
        return sum(map(len, self.moments))

    def day(self, began: float, due: Sequence[float], seed: int) -> None:
        """Publish sales at these seconds after `began`, to partitions by chance.

        Raises RuntimeError if one is not acknowledged.
        """
        partitions = np.random.default_rng(seed).integers(PARTITIONS, size=len(due)).tolist()
        for second, partition in zip(due, partitions, strict=True):
            while (left := began + second - time.perf_counter()) > 0:
                self.producer.poll(min(left, POLL_SECONDS))
            self.latest = max(self.latest, -left)
            self._send(partition)
            self.producer.poll(0)
        self.wait()

    def at_once(self, count: int) -> None:
        """Publish so many sales evenly over the partitions. Raises RuntimeError as `day` does."""
        for number in range(count):
            self._send(number % PARTITIONS)
            self.producer.poll(0)
            while len(self.producer) > WAITING:
                self.producer.poll(POLL_SECONDS)
        self.wait()

    def _send(self, partition: int) -> None:
        value, headers, key = self._template.next()
        self.producer.produce(VENTAS.name, value, key, partition, on_delivery=self._note, headers=headers)
        self.sent += 1

    def _note(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self._failures.append(error)
        else:
            self.moments[message.partition() or 0].append(time.perf_counter())

    def wait(self) -> None:
        """Wait until everything is acknowledged. Raises RuntimeError unless it was."""
        left = self.producer.flush(FLUSH_SECONDS)
        if left or self._failures:
            raise RuntimeError(f"{left + len(self._failures)} sales were not acknowledged: {self._failures[:1]}")
