"""A maestro's sales by POST, against plain Django REST framework that inserts a row (bench/plain).

wrk drives both in turn, each behind two gunicorn workers of eight threads. Ours answers when Kafka
has acknowledged, while all consumers, relay, worker and Beat run; their work counts as CPU of the
sale.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from typing import Any, Final
from uuid import uuid4

from confluent_kafka import Producer
from django.conf import settings
from django.db import connection, transaction

from bench import cpu
from bench.load import Load, drive
from bench.result import Result, Say, plot_lines
from bench.sales import sales
from bench.system import EVERYTHING, running
from deploy.embedded.ports import HOST, free_port
from deploy.embedded.waiting import wait_until
from inscripciones import credenciales
from inscripciones.models import Usuario
from kafka_bridge.consuming import progress
from kafka_bridge.events.codec import encode
from kafka_bridge.events.ids import uuid7
from kafka_bridge.telemetry import traceparent
from mamochi_site.local.system import CHECKOUT
from ventas.api.serializers import MAX_VENTAS
from ventas.events import VENTAS

SUMMARY = "sales per second by POST against plain DRF with knox that inserts a row, for 1 to 64 connections"
CONNECTIONS: Final = (1, 8, 16, 64)
BUSY: Final = (16, 64)  # those that the ratio is of
SECONDS: Final = int(os.environ.get("BENCH_SECONDS", "10"))
ROUNDS: Final = int(os.environ.get("BENCH_ROUNDS", "5"))
MAESTROS: Final = 50
LISTS: Final = 20
OURS, PEER = "mamochi", "plain DRF"
SALE: Final = {"producto": "mediano", "cantidad": 1}
PEERS_SALE: Final = {"product": "mediano", "quantity": 1}


@dataclass(frozen=True)
class Contender:
    """What wrk drives. `processes`: pids by name. `settle` waits until the work behind is done."""

    url: str
    body: str
    tokens: list[str]
    processes: Mapping[str, int]
    settle: Callable[[], object]


@dataclass(frozen=True)
class Measured:
    """A load, and the CPU that each request took (ms by process)."""

    load: Load
    cpu_ms: dict[str, float]


def run(say: Say) -> Result:
    """Drive both in alternating rounds.

    The ratio is the lower one of 16 and 64 connections: our median of requests per second over the
    peer's.
    """
    with running(*EVERYTHING) as web, peer() as plain:
        ours = Contender(f"http://{HOST}:{web.port}/api/v1/ventas/", json.dumps(SALE), maestros(), web.pids, caught_up)
        contenders = {OURS: ours, PEER: plain}
        for contender in contenders.values():
            measure(contender, max(CONNECTIONS))
        measured = rounds(contenders, say)
        lists = lists_per_second(ours, say)
    return result(measured, lists)


Rounds = dict[tuple[str, int], list[Measured]]


def rounds(contenders: Mapping[str, Contender], say: Say) -> Rounds:
    """Return what was measured, by contender and number of connections."""
    found: Rounds = {(name, connections): [] for name in contenders for connections in CONNECTIONS}
    for number in range(1, ROUNDS + 1):
        for connections in CONNECTIONS:
            for name, contender in contenders.items():
                one = measure(contender, connections)
                found[name, connections].append(one)
                say(
                    f"round {number}/{ROUNDS}, {connections} connections: {name} {one.load.per_second:,.0f}/s, "
                    f"p99 {one.load.p99_ms:,.0f} ms, CPU {sum(one.cpu_ms.values()):.2f} ms per sale"
                )
    return found


def measure(contender: Contender, connections: int) -> Measured:
    """Drive the contender for SECONDS; the CPU is counted until the work behind is done too."""
    before = cpu.seconds(contender.processes)
    load = drive(contender.url, tokens=contender.tokens, body=contender.body, connections=connections, seconds=SECONDS)
    contender.settle()
    after = cpu.seconds(contender.processes)
    return Measured(load, {name: 1_000 * (after[name] - before[name]) / load.requests for name in after})


def caught_up() -> None:
    """Wait until the consumers of sales have applied all that was accepted."""

    def remaining() -> int:
        ends = progress.topic_ends(VENTAS.name)
        return sum(sum(progress.remaining(name, VENTAS.name, ends).values()) for name in ("contabilidad", "inventario"))

    wait_until(lambda: remaining() == 0, 120, interval=0.2)


def maestros() -> list[str]:
    """Make maestros; return their tokens."""
    users = [Usuario.objects.create_user(username=str(uuid4()), maestro_id=uuid4()) for _ in range(MAESTROS)]
    with transaction.atomic():
        return [credenciales.emitir(user) for user in users]


@contextmanager
def peer() -> Iterator[Contender]:
    """Serve the peer from a database of its own in the same PostgreSQL."""
    with connection.cursor() as cursor:
        cursor.execute("DROP DATABASE IF EXISTS plain")
        cursor.execute("CREATE DATABASE plain")
    environment = {**os.environ, "PLAIN_DATABASE_URL": _url_of("plain"), "DJANGO_SETTINGS_MODULE": ""}
    prepare = [sys.executable, "-m", "bench.plain.prepare", str(MAESTROS)]
    tokens = json.loads(subprocess.check_output(prepare, cwd=CHECKOUT, env=environment))
    port = free_port()
    serve = [sys.executable, "-m", "gunicorn", "bench.plain.wsgi:application", "--bind", f"{HOST}:{port}"]
    serve += ["--workers", "2", "--threads", "8", "--no-control-socket", "--log-level", "warning"]
    process = subprocess.Popen(serve, cwd=CHECKOUT, env=environment)
    try:
        url = f"http://{HOST}:{port}/sales/"
        wait_until(lambda: process.poll() is not None or answers(url, tokens), 60)
        yield Contender(url, json.dumps(PEERS_SALE), tokens, {"web": process.pid}, settle=lambda: None)
    finally:
        process.terminate()
        process.wait(30)


def answers(url: str, tokens: list[str]) -> bool:
    try:
        drive(url, tokens=tokens, body=json.dumps(PEERS_SALE), connections=1, seconds=1)
    except RuntimeError:
        return False
    return True


def _url_of(database: str) -> str:
    of = connection.settings_dict
    return f"postgresql://{of['USER']}:{of['PASSWORD']}@{of['HOST']}:{of['PORT']}/{database}"


def lists_per_second(ours: Contender, say: Say) -> dict[str, list[float]]:
    """Return sales per second in lists of MAX_VENTAS, and those of a raw producer, by round."""
    body = json.dumps([SALE] * MAX_VENTAS)
    found: dict[str, list[float]] = {OURS: [], "raw producer": []}
    for _ in range(ROUNDS):
        load = drive(ours.url, tokens=ours.tokens, body=body, connections=1, seconds=max(1, SECONDS // 2))
        ours.settle()
        found[OURS].append(load.per_second * MAX_VENTAS)
        found["raw producer"].append(raw_producer())
        ours.settle()
    say("; ".join(f"lists: {name} {median(each):,.0f} sales/s" for name, each in found.items()))
    return found


def raw_producer() -> float:
    """Return the sales per second of a program that encodes and produces lists one by one.

    A list is one maestro's and has a trace, as at the API: both send the same bytes, the same keys
    and wait for the same acknowledgements.
    """
    producer = Producer({**settings.KAFKA_CLIENT_CONFIG, "enable.idempotence": True, "acks": "all", "linger.ms": 0})
    lists = [list(sales(MAX_VENTAS, [uuid4()], new_id=uuid7)) for _ in range(LISTS)]
    began = time.perf_counter()
    for one in lists:
        with traceparent.continued(""):
            for message in map(encode, one):
                headers: Any = list(message.headers)
                producer.produce(message.topic, message.value, message.key, message.partition, headers=headers)
            producer.flush()
    return LISTS * MAX_VENTAS / (time.perf_counter() - began)


def result(measured: Rounds, lists: dict[str, list[float]]) -> Result:
    """Return medians, and write the plot."""
    rates = {key: [one.load.per_second for one in each] for key, each in measured.items()}
    plot_lines(
        "api",
        {name: {connections: median(rates[name, connections]) for connections in CONNECTIONS} for name in (OURS, PEER)},
        title="Sales by POST",
        x="connections",
        y="accepted per second",
    )
    ratios = {busy: median(rates[OURS, busy]) / median(rates[PEER, busy]) for busy in BUSY}
    list_ratio = median(lists[OURS]) / median(lists["raw producer"])
    also = {f"ratio at {busy} connections": ratio for busy, ratio in ratios.items()}
    also["ratio of a list to a raw producer"] = list_ratio
    for (name, connections), each in measured.items():
        also[f"{name}, {connections} connections: p50, ms"] = median(one.load.p50_ms for one in each)
        also[f"{name}, {connections} connections: p99, ms"] = median(one.load.p99_ms for one in each)
        for process in each[0].cpu_ms:
            share = median(one.cpu_ms[process] for one in each)
            also[f"{name}, {connections} connections: CPU of {process} per sale, ms"] = share
    figures = {f"{name}, {connections} connections": each for (name, connections), each in rates.items()}
    figures |= {f"{name}, lists of {MAX_VENTAS:,} on one connection": each for name, each in lists.items()}
    return Result(
        "api", SUMMARY, "sales/s", figures, min(ratios.values()), "ours over plain DRF, lower of 16 and 64", also
    )
