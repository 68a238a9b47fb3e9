"""Sales for the benchmarks, as events in the topic or rows in the ledger; and timed consumers."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from confluent_kafka import Producer
from django.conf import settings
from django.db import connection

from kafka_bridge.consuming.handlers import Consumer
from kafka_bridge.consuming.record import Record
from kafka_bridge.consuming.runner import Runner
from kafka_bridge.events.codec import Message, encode
from kafka_bridge.models import ConsumerOffset
from ventas import calendario
from ventas.events import VentaRegistrada
from ventas.models import Semana

MAESTROS = 500

INSERT_SALES = """
INSERT INTO ventas_venta (id, venta_id, maestro_id, producto, cantidad, precio_unitario, costo_unitario,
    vendida_en, dia, registrada_en, semana_contable)
SELECT gen_random_uuid(), gen_random_uuid(), (%(maestros)s::uuid[])[1 + n %% %(cycle)s],
    (ARRAY['chico', 'mediano', 'grande'])[1 + n %% 3], 1 + n %% 4, 1500 + 500 * (n %% 3), 380 + 230 * (n %% 3),
    vendida, (vendida AT TIME ZONE 'America/Santiago')::date, vendida, %(monday)s
FROM (
    SELECT n, %(begin)s + n * interval '7 days' / %(sales)s AS vendida FROM generate_series(0, %(sales)s - 1) AS n
) AS sold
"""


NewId = Callable[[], UUID]


def sales(count: int, maestros: Sequence[UUID] = (), new_id: NewId = uuid4) -> Iterator[VentaRegistrada]:
    """Yield `count` sales of the last hour; without `maestros`, of MAESTROS new ones."""
    maestros, now = maestros or [uuid4() for _ in range(MAESTROS)], datetime.now(UTC)
    for number in range(count):
        maestro, venta = maestros[number % len(maestros)], new_id()
        yield VentaRegistrada(
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


def messages(count: int, maestros: Sequence[UUID] = (), new_id: NewId = uuid4) -> Iterator[Message]:
    """Yield `count` sales, encoded."""
    return map(encode, sales(count, maestros, new_id))


def fill_topic(count: int, maestros: Sequence[UUID] = (), new_id: NewId = uuid4) -> None:
    """Write `count` sales to the topic."""
    producer = Producer({**settings.KAFKA_CLIENT_CONFIG, "linger.ms": 50, "acks": "all"})
    for message in messages(count, maestros, new_id):
        producer.produce(message.topic, message.value, message.key, message.partition, headers=list(message.headers))
        producer.poll(0)
    producer.flush()


def insert_week(monday: date, maestros: Sequence[UUID], count: int) -> None:
    """Insert a week with `count` sales into the ledger; the maestros take turns to sell."""
    parameters: dict[str, Any] = {
        "maestros": list(maestros),
        "cycle": len(maestros),
        "monday": monday,
        "begin": calendario.comienzo(monday),
        "sales": count,
    }
    with connection.cursor() as cursor:
        cursor.execute(INSERT_SALES, parameters)
    Semana.nueva(monday).save()


def empty_ledger() -> None:
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE ventas_venta")


def forget_offsets() -> None:
    """Let every consumer start again at the beginning of its topics."""
    ConsumerOffset.objects.all().delete()


class TimedRunner(Runner):
    """A consumer that notes the time of its first batch and stops after `goal` messages."""

    began = 0.0
    goal = 0
    seen = 0

    def apply(self, records: list[Record]) -> bool:
        self.began = self.began or time.perf_counter()
        done = super().apply(records)
        self.seen += len(records) if done else 0
        if self.seen >= self.goal:
            self.stop.set()
        return done


def messages_per_second(consumer: Consumer, count: int) -> float:
    """Run the consumer, in a group of its own, until it has applied `count` messages."""
    runner = TimedRunner(consumer, stop=threading.Event(), group=f"bench-{uuid4()}")
    runner.goal = count
    runner.run()
    return count / (time.perf_counter() - runner.began)
