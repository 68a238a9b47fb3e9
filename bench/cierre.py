"""Closing a week of a million sales of ten thousand maestros: reports written, against the bare aggregate in SQL."""

import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from statistics import median

import psutil
from django.db import connection

from bench.result import Result
from ventas.models import ReporteSemanal, Semana
from ventas.semanas import cierre

SUMMARY = "closing a week (10,000 reports of 1,000,000 sales) against the bare SQL aggregate over the same rows"
SALES = 1_000_000
MAESTROS = 10_000
ROUNDS = 5
WEEK, NOW = date(2026, 11, 16), datetime(2026, 11, 23, 4, tzinfo=UTC)
Say = Callable[[str], None]

FILL = """
INSERT INTO ventas_venta (id, venta_id, maestro_id, producto, cantidad, precio_unitario, costo_unitario,
    vendida_en, dia, registrada_en, semana_contable)
SELECT gen_random_uuid(), gen_random_uuid(), md5((n %% %(maestros)s)::text)::uuid,
    (ARRAY['chico', 'mediano', 'grande'])[1 + n %% 3], 1 + n %% 4, 1500 + 500 * (n %% 3), 380 + 230 * (n %% 3),
    vendida, (vendida AT TIME ZONE 'America/Santiago')::date, vendida, %(week)s
FROM (SELECT n, %(week)s::date + interval '3 hours' + n * interval '7 days' / %(sales)s AS vendida
      FROM generate_series(0, %(sales)s - 1) AS n) AS sold
"""
BARE = """
SELECT maestro_id, count(*), sum(cantidad), sum(cantidad * precio_unitario),
    sum(cantidad * (precio_unitario - costo_unitario))
FROM ventas_venta WHERE semana_contable = %s GROUP BY maestro_id
"""


def fill() -> None:
    with connection.cursor() as cursor:
        cursor.execute(FILL, {"maestros": MAESTROS, "sales": SALES, "week": WEEK})
        cursor.execute("VACUUM ANALYZE ventas_venta")
    Semana.nueva(WEEK).save()


def with_closing() -> float:
    """Milliseconds of the closing as production does it: locked, reports with their adjustments, closed."""
    ReporteSemanal.objects.all().delete()
    Semana.objects.update(estado=Semana.Estado.ABIERTA, cerrada_en=None)
    began = time.perf_counter()
    cierre.contabilizar(WEEK, ahora=NOW)
    return (time.perf_counter() - began) * 1_000


def with_bare_aggregate() -> float:
    """Milliseconds of the sums alone, fetched."""
    began = time.perf_counter()
    with connection.cursor() as cursor:
        cursor.execute(BARE, [WEEK])
        if len(cursor.fetchall()) != MAESTROS:
            raise RuntimeError("the ledger is not as it was filled")
    return (time.perf_counter() - began) * 1_000


def memory() -> dict[str, float]:
    """Of this process and of PostgreSQL's that serves it, MB of its own; what that one has spilled to disk."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_force_next_flush(), pg_stat_clear_snapshot()")
        cursor.execute(
            "SELECT pg_backend_pid(), temp_files, temp_bytes FROM pg_stat_database WHERE datname = current_database()"
        )
        pid, files, spilled = cursor.fetchone()
    served = psutil.Process(pid).memory_info()
    return {
        "worker's resident memory, MB": psutil.Process().memory_info().rss / 1e6,
        "PostgreSQL backend's own memory, MB": (served.rss - served.shared) / 1e6,
        "PostgreSQL's temporary files": files,
        "PostgreSQL's temporary files, MB": int(spilled) / 1e6,
    }


def run(say: Say) -> Result:
    """Alternating rounds over the same rows; 0.33 means three times the bare aggregate."""
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
        raise RuntimeError("there is not one report a maestro")
    ratio = median(rounds["bare aggregate"]) / median(rounds["closing"])
    also = {f"{name}, {when}": found[name] for name in before for when, found in (("before", before), ("after", after))}
    return Result("cierre", SUMMARY, "ms", rounds, ratio, "bare aggregate over closing", also)
