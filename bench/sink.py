"""Sales from a filled topic into the ledger: `contabilidad`, a minimal consumer, and no Kafka."""

import gc
import time
from statistics import median
from uuid import uuid4

from confluent_kafka import Consumer as KafkaConsumer
from django.conf import settings

from bench import sales
from bench.result import Result, Say
from gremio.copy import copy_rows
from kafka_bridge.consuming.handlers import consumers
from kafka_bridge.events.codec import decode
from ventas import libro
from ventas.calendario import dia_en_chile, lunes_de
from ventas.events import VENTAS, VentaRegistrada

SUMMARY = "contabilidad's rows per second against a bare loop that consumes, decodes and COPYs, and against plain COPY"
SALES = 100_000
BATCH = 2_000
ROUNDS = 5


def run(say: Say) -> Result:
    """Run the contenders in alternating rounds over the same topic.

    The ratio is contabilidad's median over the bare loop's.
    """
    say(f"filling the topic with {SALES:,} sales")
    sales.fill_topic(SALES)
    contenders = {"contabilidad": with_contabilidad, "bare loop": with_bare_loop, "COPY alone": with_copy_alone}
    rounds: dict[str, list[float]] = {name: [] for name in contenders}
    # run_consumer does this too; the bare loop profits as well.
    gc.freeze()
    for number in range(1, ROUNDS + 1):
        for name, contender in contenders.items():
            sales.empty_ledger()
            rounds[name].append(contender())
            say(f"round {number}/{ROUNDS}: {name} {rounds[name][-1]:,.0f} rows/s")
    ratio = median(rounds["contabilidad"]) / median(rounds["bare loop"])
    return Result("sink", SUMMARY, "rows/s", rounds, ratio, "contabilidad over the bare loop")


def with_contabilidad() -> float:
    """Return the rows per second of the consumer, with offsets, savepoints, weeks and voids."""
    sales.forget_offsets()
    return sales.messages_per_second(consumers["contabilidad"], SALES)


def with_bare_loop() -> float:
    """Return the rows per second of a minimal program: consume, decode, COPY, commit."""
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
        events = [decode(dict(message.headers() or ()), message.value()) for message in messages]
        copy([event for event in events if isinstance(event, VentaRegistrada)])
        seen += len(messages)
    rate = SALES / (time.perf_counter() - began)
    consumer.close()
    return rate


def with_copy_alone() -> float:
    """Return the rows per second of COPY in the same batches, from memory and without decoding."""
    events = list(sales.sales(SALES))
    began = time.perf_counter()
    for start in range(0, SALES, BATCH):
        copy(events[start : start + BATCH])
    return SALES / (time.perf_counter() - began)


def copy(events: list[VentaRegistrada]) -> None:
    rows = []
    for event in events:
        day = dia_en_chile(event.vendida_en)
        rows.append(libro.row_of(event, day, lunes_de(day)))
    copy_rows("ventas_venta", libro.COLUMNS, rows)
