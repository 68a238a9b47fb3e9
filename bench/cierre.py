"""Closing a week of a million sales of ten thousand maestros: reports written, against the bare aggregate in SQL."""

import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from statistics import median

import psutil
from django.db import connection

from bench.result import Result
from ventas import cierre
from ventas.models import ReporteSemanal, Semana

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
    """Milliseconds of the closing as production does it: locked, reports by day and product, adjustments, closed."""
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


def run(say: Say) -> Result:
    """Alternating rounds over the same rows; 0.33 means three times the bare aggregate."""
    say(f"filling the ledger with {SALES:,} sales of {MAESTROS:,} maestros")
    fill()
    contenders = {"closing": with_closing, "bare aggregate": with_bare_aggregate}
    rounds: dict[str, list[float]] = {name: [] for name in contenders}
    before = psutil.Process().memory_info().rss
    for number in range(1, ROUNDS + 1):
        for name, contender in contenders.items():
            rounds[name].append(contender())
            say(f"round {number}/{ROUNDS}: {name} {rounds[name][-1]:,.0f} ms")
    say(f"resident memory grew by {(psutil.Process().memory_info().rss - before) / 1e6:.1f} MB in all")
    if ReporteSemanal.objects.count() != MAESTROS:
        raise RuntimeError("there is not one report a maestro")
    ratio = median(rounds["bare aggregate"]) / median(rounds["closing"])
    return Result("cierre", SUMMARY, "ms", rounds, ratio, "bare aggregate over closing")
