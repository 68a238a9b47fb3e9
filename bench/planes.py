"""Ten million sales: the plan of each query that maestros, staff and a week's closing make, taken from the real code."""

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

from bench.result import Result
from inscripciones.models import Usuario
from ventas import calendario
from ventas.api import pagination
from ventas.events import VentaRegistrada
from ventas.models import Semana, Venta
from ventas.semanas import reports

SUMMARY = "plans and times of the accounts' queries over 10,000,000 sales of 10,000 maestros (docs/adr/0011)"
WEEKS, SALES_A_WEEK, MAESTROS = 10, 1_000_000, 10_000
ROUNDS = 5
MONDAY: Final = date(2026, 9, 14)  # the first of the weeks: the change to summer time is past
BUSIEST: Final = UUID(int=0)  # one sale in 200 is theirs: 50,000
DEPTH: Final = 40_000  # sales that a reader has paged through
HTTPS: Final = {"secure": True, "HTTP_HOST": "127.0.0.1"}
Say = Callable[[str], None]
Question = Callable[[], Any]

FILL = """
INSERT INTO ventas_venta (id, venta_id, maestro_id, producto, cantidad, precio_unitario, costo_unitario,
    vendida_en, dia, registrada_en, semana_contable)
SELECT gen_random_uuid(), gen_random_uuid(),
    lpad(to_hex(CASE WHEN n %% 200 = 0 THEN 0 ELSE n %% %(maestros)s END), 32, '0')::uuid,
    (ARRAY['chico', 'mediano', 'grande'])[1 + n %% 3], 1 + n %% 4, 1500 + 500 * (n %% 3), 380 + 230 * (n %% 3),
    vendida, (vendida AT TIME ZONE 'America/Santiago')::date, vendida, %(monday)s
FROM (SELECT n, %(begin)s + n * interval '7 days' / %(sales)s AS vendida FROM generate_series(0, %(sales)s - 1) AS n) AS sold
"""
ACCOUNTS = """
INSERT INTO ventas_cuenta (maestro_id, nombre, email, abierta_en)
SELECT lpad(to_hex(n), 32, '0')::uuid, 'Maestra ' || n, 'm' || n || '@example.cl', %s
FROM generate_series(0, %s - 1) AS n
"""
# One sale in 500 of each week is taken back in the next one.
VOID = """
UPDATE ventas_venta SET anulada_en = vendida_en + interval '7 days', semana_anulacion = semana_contable + 7
WHERE mod(hashtext(id::text), 500) = 0
"""


def fill(say: Say) -> None:
    """Week by week, as it grows in production."""
    for number in range(WEEKS):
        monday = MONDAY + number * calendario.SEMANA
        parameters = {
            "maestros": MAESTROS,
            "sales": SALES_A_WEEK,
            "monday": monday,
            "begin": calendario.comienzo(monday),
        }
        with connection.cursor() as cursor:
            cursor.execute(FILL, parameters)
        Semana.nueva(monday).save()
        say(f"{(number + 1) * SALES_A_WEEK:,} sales")
    with connection.cursor() as cursor:
        cursor.execute(ACCOUNTS, [calendario.comienzo(MONDAY), MAESTROS])
        cursor.execute(VOID)
        cursor.execute("VACUUM ANALYZE ventas_venta")


@contextmanager
def explaining() -> Iterator[list[str]]:
    """The plan of each query over the ledger that runs meanwhile, executed and timed by PostgreSQL."""
    plans: list[str] = []

    def explain(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if "ventas_venta" in sql:
            execute(f"EXPLAIN (ANALYZE, BUFFERS) {sql}", params, many, context)
            plans.append("\n".join(line for (line,) in context["cursor"].fetchall()))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(explain):
        yield plans


def questions() -> dict[str, Question]:
    """By name, something that makes the product ask the ledger."""
    maestro = APIClient()
    maestro.force_authenticate(Usuario.objects.create_user(username="busiest", maestro_id=BUSIEST))
    staff = Client()
    staff.force_login(Usuario.objects.create_superuser(username="staff"))
    ventas, last = reverse("ventas:venta-list"), MONDAY + (WEEKS - 1) * calendario.SEMANA
    suyas = Venta.objects.filter(maestro_id=BUSIEST).order_by("-vendida_en", "-id")
    between = {"desde": MONDAY.isoformat(), "hasta": last.isoformat()}
    cursor = pagination.cursor_after(suyas[DEPTH])
    una = suyas[DEPTH + 1]
    Venta.objects.filter(pk=una.pk).update(id=VentaRegistrada.derive_id(BUSIEST, una.venta_id))  # as if by an event
    detalle = reverse("ventas:venta-detail", args=[una.venta_id])
    return {
        "first page by date": lambda: maestro.get(ventas, between, **HTTPS),
        f"page {DEPTH // pagination.PAGE_SIZE} by date": lambda: maestro.get(
            ventas, between | {"cursor": cursor}, **HTTPS
        ),
        "one day": lambda: maestro.get(ventas, {"desde": last.isoformat(), "hasta": last.isoformat()}, **HTTPS),
        "one sale": lambda: maestro.get(detalle, **HTTPS),
        "summary of a week": lambda: maestro.get(
            reverse("ventas:venta-resumen"), {"semana": calendario.codigo(last)}, **HTTPS
        ),
        "closing's aggregate": lambda: reports.escribir(Semana.objects.get(pk=last)),
        "ledger in the admin": lambda: staff.get(
            reverse("admin:ventas_venta_changelist"), {"semana": calendario.codigo(last)}, **HTTPS
        ),
    }


def ask(question: Question) -> list[str]:
    """The plans of all that it asks; what it writes is undone."""
    with transaction.atomic(), explaining() as plans:
        question()
        transaction.set_rollback(True)
    return plans


def milliseconds(plans: list[str]) -> float:
    return sum(float(time) for plan in plans for time in re.findall(r"Execution Time: ([\d.]+) ms", plan))


def essentials(plan: str) -> list[str]:
    """What was scanned, how, how many rows and pages that took."""
    key = re.compile(
        r"Scan|Sort|Batches|Aggregate|Join|Append|Limit|Insert|Buffers: shared|Rows Removed|Execution Time|Index Cond"
    )
    return [
        re.sub(r"cost=\S+ rows=\d+ width=\d+\) \(|loops=1", "", line) for line in plan.splitlines() if key.search(line)
    ]


def run(say: Say) -> Result:
    """The ratio is the first page's time over the deep one's: near 1, depth costs nothing."""
    logging.disable(logging.INFO)  # a line a request
    fill(say)
    rounds: dict[str, list[float]] = {}
    for name, question in questions().items():
        ask(question)  # reads what is cold
        rounds[name] = [milliseconds(plans) for plans in (ask(question) for _ in range(ROUNDS))]
        for plan in ask(question):
            say("\n".join([f"{name}: {median(rounds[name]):.2f} ms", *essentials(plan)]))
    first, deep = list(rounds.values())[:2]
    ratio = median(first) / median(deep)
    return Result("planes", SUMMARY, "ms", rounds, ratio, "first page over a deep one")
