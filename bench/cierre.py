"""Closing a week of a million sales of ten thousand maestros, against the bare aggregate in SQL."""

import time
from datetime import UTC, date, datetime
from hashlib import md5
from statistics import median
from uuid import UUID

import psutil
from django.db import connection

from bench.result import Result, Say
from bench.sales import insert_week
from ventas.models import ReporteSemanal, Semana
from ventas.semanas import cierre

SUMMARY = "closing a week (10,000 reports of 1,000,000 sales) against the bare SQL aggregate over the same rows"
SALES = 1_000_000
MAESTROS = 10_000
ROUNDS = 5
WEEK, NOW = date(2026, 11, 16), datetime(2026, 11, 23, 4, tzinfo=UTC)

BARE = """
SELECT maestro_id, count(*), sum(cantidad), sum(cantidad * precio_unitario),
    sum(cantidad * (precio_unitario - costo_unitario))
FROM ventas_venta WHERE semana_contable = %s GROUP BY maestro_id
"""


def run(say: Say) -> Result:
    """Run both in alternating rounds over the same rows.

    The ratio is of the medians: 0.33 means that the closing takes three times as long as the
    aggregate.
    """
    say(f"filling the ledger with {SALES:,} sales of {MAESTROS:,} maestros")
    fill()
    contenders = {"closing": with_closing, "bare aggregate": with_bare_aggregate}
    rounds: dict[str, list[float]] = {name: [] for name in contenders}
    before = memory()
    for number in range(1, ROUNDS + 1):
        for name, contender in contenders.items():
            rounds[name].append(contender())
            say(f"round {number}/{ROUNDS}: {name} {rounds[name][-1]:,.0f} ms")
    after = memory()
    if ReporteSemanal.objects.count() != MAESTROS:
        raise RuntimeError("there is not exactly one report per maestro")
    ratio = median(rounds["bare aggregate"]) / median(rounds["closing"])
    also = {f"{name}, {when}": found[name] for name in before for when, found in (("before", before), ("after", after))}
    return Result("cierre", SUMMARY, "ms", rounds, ratio, "bare aggregate over closing", also)


def fill() -> None:
    # MD5 only spreads the ids evenly over all UUIDs.
    maestros = [UUID(md5(str(number).encode(), usedforsecurity=False).hexdigest()) for number in range(MAESTROS)]
    insert_week(WEEK, maestros, SALES)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE ventas_venta")


def with_closing() -> float:
    """Return the ms of a closing as in production: lock, write reports with adjustments, close."""
    ReporteSemanal.objects.all().delete()
    Semana.objects.update(estado=Semana.Estado.ABIERTA, cerrada_en=None)
    began = time.perf_counter()
    cierre.contabilizar(WEEK, ahora=NOW)
    return (time.perf_counter() - began) * 1_000


def with_bare_aggregate() -> float:
    """Return the ms of the sums alone, fetched."""
    began = time.perf_counter()
    with connection.cursor() as cursor:
        cursor.execute(BARE, [WEEK])
        if len(cursor.fetchall()) != MAESTROS:
            raise RuntimeError("the ledger does not have the maestros that were inserted")
    return (time.perf_counter() - began) * 1_000


def memory() -> dict[str, float]:
    """Return the memory of this process and of its PostgreSQL backend, and the temporary files."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_force_next_flush(), pg_stat_clear_snapshot()")
        cursor.execute(
            "SELECT pg_backend_pid(), temp_files, temp_bytes FROM pg_stat_database WHERE datname = current_database()"
        )
        pid, files, spilled = cursor.fetchone()
    backend = psutil.Process(pid).memory_info()
    return {
        "worker's resident memory, MB": psutil.Process().memory_info().rss / 1e6,
        "PostgreSQL backend's own memory, MB": (backend.rss - backend.shared) / 1e6,
        "PostgreSQL's temporary files": files,
        "PostgreSQL's temporary files, MB": int(spilled) / 1e6,
    }
