"""Sales from a filled topic into the accounts' ledger: `contabilidad` as in production, a bare loop, and no Kafka at all."""

import gc
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from statistics import median
from uuid import UUID, uuid4

from confluent_kafka import Consumer as KafkaConsumer
from confluent_kafka import Producer
from django.conf import settings
from django.db import connection

from bench.result import Result
from kafka_bridge.consuming.handlers import consumers
from kafka_bridge.consuming.record import Record
from kafka_bridge.consuming.runner import Runner
from kafka_bridge.events.codec import Message, decode, encode
from kafka_bridge.models import ConsumerOffset
from ventas import libro
from ventas.calendario import dia_en_chile, lunes_de
from ventas.events import VENTAS, VentaRegistrada

SUMMARY = "contabilidad's rows per second against a bare loop that consumes, decodes and COPYs, and against plain COPY"
SALES = 100_000
MAESTROS = 500
BATCH = 2_000
ROUNDS = 5
Say = Callable[[str], None]


def sale(number: int, maestros: list[UUID], now: datetime) -> VentaRegistrada:
    maestro, venta = maestros[number % len(maestros)], uuid4()
    return VentaRegistrada(
        id=VentaRegistrada.derive_id(maestro, venta),
        time=now,
        venta_id=venta,
        maestro_id=maestro,
        producto="mediano",
        cantidad=1,
        precio_unitario=2_000,
        costo_unitario=610,
        insumos={"mote": 150, "huesillo": 2, "jugo": 300, "vaso": 1},
        vendida_en=now - timedelta(seconds=number % 3_600),
    )


def messages(count: int) -> Iterator[Message]:
    """`count` sales of MAESTROS maestros, encoded."""
    maestros, now = [uuid4() for _ in range(MAESTROS)], datetime.now(UTC)
    return (encode(sale(number, maestros, now)) for number in range(count))


def fill(count: int) -> None:
    """Writes `count` sales to the topic."""
    producer = Producer({**settings.KAFKA_CLIENT_CONFIG, "linger.ms": 50, "acks": "all"})
    for message in messages(count):
        producer.produce(message.topic, message.value, message.key, message.partition, headers=list(message.headers))
        producer.poll(0)
    producer.flush()


def empty_ledger() -> None:
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE ventas_venta")


class TimedRunner(Runner):
    """contabilidad as it is, which notes when the first batch was there and ends with the last."""

    began = 0.0
    seen = 0

    def _apply(self, records: list[Record]) -> bool:
        if not self.began:
            self.began = time.perf_counter()
        done = super()._apply(records)
        self.seen += len(records)
        if self.seen >= SALES:
            self.stop.set()
        return done


def with_runner() -> float:
    """Rows per second of the consumer `contabilidad`: offsets, savepoints, weeks, voids, everything."""
    empty_ledger()
    ConsumerOffset.objects.all().delete()
    runner = TimedRunner(consumers["contabilidad"], stop=threading.Event(), group=f"bench-{uuid4()}")
    runner.run()
    return SALES / (time.perf_counter() - runner.began)


def with_bare_loop() -> float:
    """Rows per second of the least that a program can do: consume, decode, COPY, commit."""
    empty_ledger()
    consumer = KafkaConsumer(
        {
            **settings.KAFKA_CLIENT_CONFIG,
            "group.id": f"bench-{uuid4()}",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "fetch.queue.backoff.ms": 10,
        }
    )
    consumer.subscribe([VENTAS.name])
    seen, began = 0, 0.0
    while seen < SALES:
        messages = consumer.consume(BATCH, 0.1)
        if messages and not began:
            began = time.perf_counter()
        sales = [decode(dict(message.headers() or ()), message.value()) for message in messages]
        copy([event for event in sales if isinstance(event, VentaRegistrada)])
        seen += len(messages)
    rate = SALES / (time.perf_counter() - began)
    consumer.close()
    return rate


def copy(sales: list[VentaRegistrada]) -> None:
    rows = []
    for event in sales:
        day = dia_en_chile(event.vendida_en)
        rows.append(libro._fila(event, day, lunes_de(day)))
    libro._copiar(rows)


def with_copy_alone() -> float:
    """Rows per second of COPY in the same batches, from memory, with no Kafka and nothing to decode."""
    empty_ledger()
    maestros, now = [uuid4() for _ in range(MAESTROS)], datetime.now(UTC)
    sales = [sale(number, maestros, now) for number in range(SALES)]
    began = time.perf_counter()
    for start in range(0, SALES, BATCH):
        copy(sales[start : start + BATCH])
    return SALES / (time.perf_counter() - began)


def run(say: Say) -> Result:
    """Alternating rounds over the same topic; the ratio is contabilidad's median over the bare loop's."""
    say(f"filling the topic with {SALES:,} sales")
    fill(SALES)
    contenders = {"contabilidad": with_runner, "bare loop": with_bare_loop, "COPY alone": with_copy_alone}
    rounds: dict[str, list[float]] = {name: [] for name in contenders}
    gc.freeze()  # as run_consumer does, and to the bare loop's advantage too
    for number in range(1, ROUNDS + 1):
        for name, contender in contenders.items():
            rounds[name].append(contender())
            say(f"round {number}/{ROUNDS}: {name} {rounds[name][-1]:,.0f} rows/s")
    ratio = median(rounds["contabilidad"]) / median(rounds["bare loop"])
    return Result("sink", SUMMARY, "rows/s", rounds, ratio, "contabilidad over the bare loop")
