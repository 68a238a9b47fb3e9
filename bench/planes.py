"""Query plans over ten million sales: the queries of maestros, of staff, and of closing a week.

The queries are recorded while the real code runs.
"""

import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from statistics import median
from typing import Any, Final
from uuid import UUID

from django.db import connection, transaction
from django.test import Client
from django.urls import reverse
from rest_framework.test import APIClient

from bench.result import Result, Say
from bench.sales import insert_week
from inscripciones.models import Usuario
from ventas import calendario
from ventas.api import pagination
from ventas.events import VentaRegistrada
from ventas.models import Semana, Venta
from ventas.semanas import reports

SUMMARY = "plans and times of the accounts' queries over 10,000,000 sales of 10,000 maestros (docs/adr/0011)"
WEEKS, SALES_PER_WEEK, MAESTROS = 10, 1_000_000, 10_000
ROUNDS = 5
# The first of the weeks; it is after the change to summer time.
MONDAY: Final = date(2026, 9, 14)
# This maestro makes one sale in 200: 50,000.
BUSIEST: Final = UUID(int=0)
# How many sales a reader has paged through.
DEPTH: Final = 40_000

# A call of the real code that makes queries over the ledger.
Question = Callable[[], object]

ACCOUNTS = """
INSERT INTO ventas_cuenta (maestro_id, nombre, email, abierta_en)
SELECT lpad(to_hex(n), 32, '0')::uuid, 'Maestra ' || n, 'm' || n || '@example.cl', %s
FROM generate_series(0, %s - 1) AS n
"""
# One sale in 500 of each week is voided in the next week.
VOID = """
UPDATE ventas_venta SET anulada_en = vendida_en + interval '7 days', semana_anulacion = semana_contable + 7
WHERE mod(hashtext(id::text), 500) = 0
"""


def run(say: Say) -> Result:
    """Time each question's queries.

    The ratio is the first page's time over the deep page's: near 1, depth costs nothing.
    """
    # Otherwise there is one log line per request.
    logging.disable(logging.INFO)
    fill(say)
    rounds: dict[str, list[float]] = {}
    for name, question in questions().items():
        # The first time reads what is not yet in memory.
        ask(question)
        rounds[name] = [milliseconds(plans) for plans in (ask(question) for _ in range(ROUNDS))]
        for plan in ask(question):
            say("\n".join([f"{name}: {median(rounds[name]):.2f} ms", *essentials(plan)]))
    first, deep = list(rounds.values())[:2]
    ratio = median(first) / median(deep)
    return Result("planes", SUMMARY, "ms", rounds, ratio, "first page over a deep one")


def fill(say: Say) -> None:
    """Fill the ledger week by week, as it grows in production."""
    maestros = [BUSIEST if number % 200 == 0 else UUID(int=number) for number in range(MAESTROS)]
    for number in range(WEEKS):
        insert_week(MONDAY + number * calendario.SEMANA, maestros, SALES_PER_WEEK)
        say(f"{(number + 1) * SALES_PER_WEEK:,} sales")
    with connection.cursor() as cursor:
        cursor.execute(ACCOUNTS, [calendario.comienzo(MONDAY), MAESTROS])
        cursor.execute(VOID)
        cursor.execute("VACUUM ANALYZE ventas_venta")


@contextmanager
def explaining() -> Iterator[list[str]]:
    """Collect the plan of each query over the ledger in the block, run and timed by PostgreSQL."""
    plans: list[str] = []

    def explain(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if "ventas_venta" in sql:
            execute(f"EXPLAIN (ANALYZE, BUFFERS) {sql}", params, many, context)
            plans.append("\n".join(line for (line,) in context["cursor"].fetchall()))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(explain):
        yield plans


def questions() -> dict[str, Question]:
    """Return the questions by name."""
    maestro = APIClient()
    maestro.force_authenticate(Usuario.objects.create_user(username="busiest", maestro_id=BUSIEST))
    staff = Client()
    staff.force_login(Usuario.objects.create_superuser(username="staff"))

    def read(client: Client | APIClient, url: str, query: dict[str, str] | None = None) -> Question:
        return lambda: client.get(url, query or {}, secure=True, HTTP_HOST="127.0.0.1")

    ventas, last = reverse("ventas:venta-list"), MONDAY + (WEEKS - 1) * calendario.SEMANA
    suyas = Venta.objects.filter(maestro_id=BUSIEST).order_by("-vendida_en", "-id")
    between = {"desde": MONDAY.isoformat(), "hasta": last.isoformat()}
    cursor = pagination.cursor_after(suyas[DEPTH])
    una = suyas[DEPTH + 1]
    # The id that the row would have if an event had created it.
    Venta.objects.filter(pk=una.pk).update(id=VentaRegistrada.derive_id(BUSIEST, una.venta_id))
    semana = {"semana": calendario.codigo(last)}
    return {
        "first page by date": read(maestro, ventas, between),
        f"page {DEPTH // pagination.PAGE_SIZE} by date": read(maestro, ventas, between | {"cursor": cursor}),
        "one day": read(maestro, ventas, {"desde": last.isoformat(), "hasta": last.isoformat()}),
        "one sale": read(maestro, reverse("ventas:venta-detail", args=[una.venta_id])),
        "summary of a week": read(maestro, reverse("ventas:venta-resumen"), semana),
        "closing's aggregate": lambda: reports.escribir(Semana.objects.get(pk=last)),
        "ledger in the admin": read(staff, reverse("admin:ventas_venta_changelist"), semana),
    }


def ask(question: Question) -> list[str]:
    """Return the plans of the question's queries; what they write is rolled back."""
    with transaction.atomic(), explaining() as plans:
        question()
        transaction.set_rollback(True)
    return plans


def milliseconds(plans: list[str]) -> float:
    return sum(float(time) for plan in plans for time in re.findall(r"Execution Time: ([\d.]+) ms", plan))


def essentials(plan: str) -> list[str]:
    """Return the plan's lines about scans, rows and pages."""
    key = re.compile(
        r"Scan|Sort|Batches|Aggregate|Join|Append|Limit|Insert|Buffers: shared|Rows Removed|Execution Time|Index Cond"
    )
    return [
        re.sub(r"cost=\S+ rows=\d+ width=\d+\) \(|loops=1", "", line) for line in plan.splitlines() if key.search(line)
    ]
