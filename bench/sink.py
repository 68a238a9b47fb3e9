"""Sales from a filled topic into the ledger: `contabilidad`, alone and helped, and others."""

import gc
import importlib
import time
from collections.abc import Callable
from importlib.util import find_spec
from statistics import median
from uuid import uuid4

from confluent_kafka import Consumer as KafkaConsumer
from django.conf import settings

from bench import sales
from bench.cpu import timed
from bench.helped import rows_per_second
from bench.result import Result, Say
from gremio.copy import copy_rows
from kafka_bridge.consuming.handlers import consumers
from kafka_bridge.events.codec import decode
from ventas import libro
from ventas.calendario import dia_en_chile, lunes_de
from ventas.events import VENTAS, VentaRegistrada

SUMMARY = (
    "contabilidad's rows per second, alone and with its helper, against a bare loop that consumes, decodes and COPYs, "
    "against plain COPY, and (with --peers) against faststream and arroyo doing the same work"
)
SALES = 100_000
# For the consumer with its helper, which comes after half a second of backlog.
BACKLOG = 1_000_000
HELPED = "contabilidad with its helper"
BATCH = 2_000
ROUNDS = 5
# The package, module and function of each; the packages are in the dependency group `peers`.
PEERS = {
    "faststream": ("faststream", "with_faststream", "with_types"),
    "faststream with our codec": ("faststream", "with_faststream", "with_our_codec"),
    "arroyo": ("arroyo", "with_arroyo", "with_our_codec"),
}


def run(say: Say) -> Result:
    """Run the contenders in alternating rounds over the same topic.

    The ratio is that of contabilidad with its helper over the bare loop (medians); `also` has both
    ways of contabilidad over the others.
    """
    say(f"filling the topic with {BACKLOG:,} sales")
    sales.fill_topic(BACKLOG)
    contenders = {
        "contabilidad": with_contabilidad,
        "bare loop": with_bare_loop,
        "COPY alone": with_copy_alone,
        **peers(),
    }
    rounds: dict[str, list[float]] = {name: [] for name in contenders}
    cpu: dict[str, list[tuple[float, float]]] = {name: [] for name in contenders}
    helped: list[float] = []
    # run_consumer does this too; the bare loop profits as well.
    gc.freeze()
    for number in range(1, ROUNDS + 1):
        for name, contender in contenders.items():
            sales.empty_ledger()
            rate, own, server = timed(contender, SALES)
            rounds[name].append(rate)
            cpu[name].append((own, server))
            say(f"round {number}/{ROUNDS}: {name} {rate:,.0f} rows/s, {own:.1f} + {server:.1f} µs of CPU per row")
        sales.empty_ledger()
        sales.forget_offsets()
        helped.append(rows_per_second(BACKLOG))
        say(f"round {number}/{ROUNDS}: {HELPED} {helped[-1]:,.0f} rows/s")
    also = _ratios("contabilidad", rounds["contabilidad"], rounds) | _ratios(HELPED, helped, rounds)
    del also["contabilidad over contabilidad"]
    ratio = also.pop(f"{HELPED} over bare loop")
    for name, each in cpu.items():
        also[f"{name}: CPU, µs/row"] = median(own for own, _ in each)
        also[f"{name}: PostgreSQL's CPU, µs/row"] = median(server for _, server in each)
    missing = " and ".join(name for name in PEERS if name not in contenders)
    question = SUMMARY + (f"; without {missing}: `./dev bench sink --peers` installs what they need" if missing else "")
    return Result("sink", question, "rows/s", {HELPED: helped, **rounds}, ratio, f"{HELPED} over the bare loop", also)


def _ratios(ours: str, rates: list[float], rounds: dict[str, list[float]]) -> dict[str, float]:
    return {f"{ours} over {name}": median(rates) / median(others) for name, others in rounds.items()}


def peers() -> dict[str, Callable[[], float]]:
    """Return the contenders whose packages are installed."""
    return {name: peer(module, function) for name, (package, module, function) in PEERS.items() if find_spec(package)}


def peer(module: str, function: str) -> Callable[[], float]:
    run_peer = getattr(importlib.import_module(f"bench.peers.{module}"), function)
    return lambda: float(run_peer(SALES, BATCH))


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
