"""Sales on their way to the topic: by the million, one by one, and from many publishers at once.

The producer has the product's own settings (`publishing/producer.py`), but for those of the point,
and more patience.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import count, cycle
from typing import Final
from uuid import UUID, uuid4

import msgspec
from confluent_kafka import KafkaError, Producer
from confluent_kafka import Message as KafkaMessage
from django.conf import settings

from bench import sales
from bench.mensajes.factors import ALL, Setting
from kafka_bridge.events.codec import Message, encode
from kafka_bridge.events.ids import uuid7
from kafka_bridge.events.topics import Topic
from kafka_bridge.publishing.producer import kafka_config
from ventas.events import VENTAS, VentaRegistrada

IN_FLIGHT_BYTES: Final = 20_000_000  # of what is filled in
FLUSH_SECONDS: Final = 90.0
# While a topic is filled, a broker may wait for the disk. The product gives up after 3 s.
PATIENCE: Final = {"delivery.timeout.ms": 60_000, "request.timeout.ms": 30_000}
PUBLISHERS: Final = 64
MAESTROS: Final = 100
Told = Callable[[], None]
Headers = list[tuple[str, str | bytes | None]]
PADDING_FIELD: Final = "relleno"  # as a later version of the event would add a field


class Publisher:
    """A producer that counts what is acknowledged, and what fails."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.topic = Topic(name=VENTAS.name, partitions=setting.partitions)
        own = {"acks": setting.acks, "linger.ms": setting.linger_ms, **PATIENCE}
        if setting.acks != ALL:
            own["enable.idempotence"] = False  # an idempotent producer waits for all replicas
        self.producer = Producer({**settings.KAFKA_CLIENT_CONFIG, **kafka_config(), **own})
        self.sent = 0
        self.acknowledged = 0
        self.failures: list[KafkaError] = []
        self.last = 0.0  # the moment of the last acknowledgement

    def send(self, message: Message, partition: int, told: Told | None = None) -> None:
        """Hand a message to the producer; `told` is called when it is acknowledged."""
        self.producer.produce(
            message.topic,
            message.value,
            message.key,
            partition,
            on_delivery=partial(self._note, told),
            headers=list(message.headers),
        )
        self.sent += 1

    def _note(self, told: Told | None, error: KafkaError | None, _message: KafkaMessage) -> None:
        if error is not None:
            self.failures.append(error)
            return
        self.acknowledged += 1
        self.last = time.perf_counter()
        if told:
            told()

    def wait(self) -> None:
        """Wait until everything is acknowledged. Raises RuntimeError unless it was."""
        left = self.producer.flush(FLUSH_SECONDS)
        if left or self.failures:
            raise RuntimeError(f"{left + len(self.failures)} messages were not acknowledged: {self.failures[:1]}")

    def fill(self, amount: int) -> tuple[int, float]:
        """Write so many sales; return their size, and how many were acknowledged per second."""
        template = Template(self.setting.padding)
        most = max(1, IN_FLIGHT_BYTES // template.size)
        produce, poll, note = self.producer.produce, self.producer.poll, partial(self._note, None)
        began, name = time.perf_counter(), self.topic.name
        for number in range(amount):
            value, headers, key = template.next()
            produce(name, value, key, number % self.setting.partitions, on_delivery=note, headers=headers)
            self.sent += 1
            if number % 100 == 0:
                poll(0)
                while self.sent - self.acknowledged > most and not self.failures:
                    poll(0.01)
        self.wait()
        return template.size, amount / (self.last - began)

    def one_by_one(
        self, amount: int, per_second: float, partitions: Sequence[int], accepted: dict[tuple[UUID, UUID], float]
    ) -> list[float]:
        """Publish sales when they are due; return the ms from then to each acknowledgement.

        `accepted` gets the moment of each, by maestro and sale. The partitions take turns.
        """
        waits: list[float] = []
        began = time.perf_counter()

        def told(event: VentaRegistrada, due: float) -> None:
            now = time.perf_counter()
            accepted[event.maestro_id, event.venta_id] = now
            waits.append((now - due) * 1_000)

        for number in range(amount):
            due = began + number / per_second
            while (left := due - time.perf_counter()) > 0:
                self.producer.poll(left)
            event = fresh()
            self.send(self._padded(event), partitions[number % len(partitions)], partial(told, event, due))
        self.wait()
        return waits

    def many_at_once(self, seconds: float) -> float:
        """Let PUBLISHERS each send their next sale once the last one is acknowledged.

        Returns how many were acknowledged per second.
        """
        template, numbers = Template(self.setting.padding), count()
        end = time.perf_counter() + seconds
        before, began = self.acknowledged, time.perf_counter()

        def next_one() -> None:
            if time.perf_counter() < end:
                value, headers, key = template.next()
                at = next(numbers) % self.setting.partitions
                self.sent += 1
                self.producer.produce(
                    self.topic.name, value, key, at, on_delivery=partial(self._note, next_one), headers=headers
                )

        for _ in range(PUBLISHERS):
            next_one()
        while time.perf_counter() < end:
            self.producer.poll(0.05)
        self.wait()
        return (self.acknowledged - before) / (self.last - began)

    def _padded(self, event: VentaRegistrada) -> Message:
        message = encode(event)
        return msgspec.structs.replace(message, value=padded(message.value, self.setting.padding))


@contextmanager
def publishing(setting: Setting) -> Iterator[Publisher]:
    """Open a publisher; after the block nothing is on its way."""
    publisher = Publisher(setting)
    yield publisher
    publisher.wait()


def fresh() -> VentaRegistrada:
    """Return a sale of a new maestro, of this moment."""
    (event,) = sales.sales(1, [uuid4()], new_id=uuid7)
    return event


def padded(value: bytes, padding: int) -> bytes:
    """Add a field of so many bytes, which no consumer knows."""
    return value[:-1] + b',"%s":"%s"}' % (PADDING_FIELD.encode(), b"x" * padding) if padding else value


class Template:
    """Copies of sales with ids of their own in the order of time, faster than by `encode`.

    MAESTROS take turns. The id of an event is here not derived from that of its sale, on which only
    the API relies.
    """

    def __init__(self, padding: int) -> None:
        first = fresh()
        self._event_id, self._sale_id = (str(one)[:24] for one in (first.id, first.venta_id))
        self._headers: dict[str, str | bytes | None] = dict(encode(first).headers)
        self._variants = cycle([_variant(fresh(), padding) for _ in range(MAESTROS)])
        self._numbers = count()
        self.size = encode(first).size + padding

    def next(self) -> tuple[bytes, Headers, bytes]:
        """Return the value, the headers and the key of another sale."""
        number = f"{next(self._numbers):012x}"
        event_id, sale_id = (self._event_id + number).encode(), (self._sale_id + number).encode()
        self._headers["ce_id"] = event_id
        before, between, after, key = next(self._variants)
        return b"".join((before, sale_id, between, event_id, after)), list(self._headers.items()), key


def _variant(event: VentaRegistrada, padding: int) -> tuple[bytes, bytes, bytes, bytes]:
    """Return what stands before, between and after the two ids of a sale's value, and its key.

    Raises ValueError if the ids stand in another order.
    """
    message = encode(event)
    before, found, rest = padded(message.value, padding).partition(str(event.venta_id).encode())
    between, also_found, after = rest.partition(str(event.id).encode())
    if not found or not also_found:
        raise ValueError("the value has its ids in another order")
    return before, between, after, message.key
