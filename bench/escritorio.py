"""The admin's home by role, a maestro's page and the search, at 100,000 maestros.

The queries are recorded while the real pages are made; PostgreSQL runs and times each of them.
"""

import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median
from typing import Any, Final
from uuid import UUID

from django.contrib.auth.models import Group
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from bench.result import Result, Say
from bench.sales import insert_week
from inscripciones.models import Usuario
from kafka_bridge.monitoring import overview
from ventas import calendario

SUMMARY = "queries of the admin's home, a maestro's page and the search, with 100,000 maestros and 10,000,000 sales"
MAESTROS, WEEKS, SALES_PER_WEEK = 100_000, 10, 1_000_000
ROUNDS = 3
ONE: Final = UUID(int=54_321)
ROLES: Final = ("Revisores", "Distribuidores", "Contadores")

# Each statement takes `maestros`, `weeks` and `monday`, the Monday of the current week.
PEOPLE: Final = (
    """
    INSERT INTO inscripciones_usuario (password, is_superuser, username, first_name, last_name, email, is_staff,
        is_active, date_joined, maestro_id, zona)
    SELECT '', false, id::text, '', '', '', false, true, now(), id, 'America/Santiago'
    FROM (SELECT lpad(to_hex(n), 32, '0')::uuid AS id FROM generate_series(1, %(maestros)s) AS n) AS made
    """,
    """
    INSERT INTO inscripciones_inscripcion (id, nombre, rut, email, buzon, telefono, comuna, paid, comprobante_pago,
        estado, motivo, veredictos, recibida_en, registrada_en, resuelta_en)
    SELECT lpad(to_hex(n), 32, '0')::uuid,
        (ARRAY['Rosa', 'Ana', 'Beto', 'Carla', 'Iván', 'Inés', 'Hugo'])[1 + n %% 7] || ' '
            || (ARRAY['Soto', 'Rojas', 'Ñáñez', 'Vega', 'Díaz'])[1 + n %% 5] || ' Maestra' || n,
        n || '-' || n %% 10, 'm' || n || '@example.cl', 'm' || n || '@example.cl', '+56987654321',
        (ARRAY['Ñuñoa', 'Temuco', 'Arica', 'Valparaíso', 'Osorno', 'Lota', 'Ovalle', 'Maipú', 'Talca', 'Angol'])
            [1 + n %% 10],
        n %% 10 = 0, '', CASE WHEN n %% 500 = 0 THEN 'en_revision' ELSE 'aprobada' END, '', '[]',
        now() - n * interval '5 min', now(), CASE WHEN n %% 500 = 0 THEN NULL ELSE now() END
    FROM generate_series(1, %(maestros)s) AS n
    """,
    """
    INSERT INTO inscripciones_maestro (id, inscripcion_id, usuario_id, nombre, rut, email, telefono, comuna,
        aprobado_en)
    SELECT i.id, i.id, u.id, i.nombre, i.rut, i.email, i.telefono, i.comuna, now()
    FROM inscripciones_inscripcion AS i JOIN inscripciones_usuario AS u ON u.maestro_id = i.id
    """,
    """
    INSERT INTO inscripciones_envio (id, tipo, inscripcion_id, estado, intentos, proximo_intento, ultimo_error,
        message_id, creado_en, reenvios)
    SELECT id, 'credenciales', id, CASE WHEN random() < 0.001 THEN 'detenido' ELSE 'enviado' END, 1, now(), '',
        id::text, now(), 0
    FROM inscripciones_inscripcion
    """,
    "INSERT INTO ventas_cuenta (maestro_id, nombre, email, abierta_en) SELECT id, nombre, email, now()"
    " FROM inscripciones_maestro",
    "INSERT INTO stock_carro (maestro_id, nombre, abierto_en) SELECT id, nombre, now() FROM inscripciones_maestro",
    """
    INSERT INTO stock_existencia (maestro_id, insumo, cantidad)
    SELECT m.id, i.codigo, CASE WHEN random() < 0.002 THEN 0 ELSE i.capacidad / 2 END
    FROM inscripciones_maestro AS m, stock_insumo AS i
    """,
    # As many lines as sales of three days; the last hour has one in seventy of them.
    """
    INSERT INTO stock_movimiento (evento_id, maestro_id, tipo, insumos, ocurrido_en, motivo)
    SELECT gen_random_uuid(), lpad(to_hex(1 + n %% %(maestros)s), 32, '0')::uuid,
        CASE WHEN n %% 10 = 0 THEN 'reposicion' ELSE 'venta' END,
        '{"mote": -150, "huesillo": -2, "jugo": -300, "vaso": -1}', now() - (430000 - n) * interval '0.6 s', ''
    FROM generate_series(1, 430000) AS n
    """,
    """
    INSERT INTO stock_aviso (aviso_id, maestro_id, insumo, origen, estado, ventas_topico, abierto_en, cerrado_en)
    SELECT gen_random_uuid(), m.id, insumo, 'automatico', CASE WHEN open THEN 'abierto' ELSE 'atendido' END, '',
        now(), CASE WHEN open THEN NULL ELSE now() END
    FROM inscripciones_maestro AS m, unnest(ARRAY['mote', 'vaso']) AS insumo,
        LATERAL (SELECT mod(hashtext(m.id::text || insumo), 500) = 0 AS open) AS dice
    """,
    """
    INSERT INTO ventas_reportesemanal (semana_id, maestro_id, cantidad_ventas, unidades, ingresos, ganancias,
        ajuste_ventas, ajuste_unidades, ajuste_ingresos, ajuste_ganancias, envio, intentos, respuesta, enviado_en)
    SELECT s.lunes, m.id, 10, 10, 20000, 14000, 0, 0, 0, 0,
        CASE WHEN random() < 0.0005 THEN 'fallido' ELSE 'enviado' END, 1, '', now()
    FROM ventas_semana AS s, inscripciones_maestro AS m WHERE s.lunes < %(monday)s
    """,
)


def run(say: Say) -> Result:
    """Time each page's queries with one week of sales, then with all of them.

    The ratio is the first time over the second: near 1, the size of the ledger costs nothing.
    """
    logging.disable(logging.INFO)  # otherwise there is one log line per request
    monday = calendario.semana_de(timezone.now())
    maestros = [UUID(int=number) for number in range(1, MAESTROS + 1)]
    insert_week(monday, maestros, SALES_PER_WEEK)
    people(say, monday)
    first = [sum(ask(page)[0] for page in pages().values()) for _ in range(ROUNDS)]
    for number in range(1, WEEKS):
        insert_week(monday - number * calendario.SEMANA, maestros, SALES_PER_WEEK)
        say(f"{(number + 1) * SALES_PER_WEEK:,} sales")
    people(say, monday, statements=PEOPLE[-1:])
    rounds: dict[str, list[float]] = {}
    for name, page in pages().items():
        ask(page)  # reads what is not yet in memory
        rounds[name] = [ask(page)[0] for _ in range(ROUNDS)]
        milliseconds, plans = ask(page)
        say(f"{name}: {milliseconds:.1f} ms in {len(plans)} queries")
        for took, plan in sorted(plans, reverse=True)[:3]:
            say(f"   {took:.1f} ms\n{essentials(plan)}")
    last = [sum(figures) for figures in zip(*rounds.values(), strict=True)]
    return Result("escritorio", SUMMARY, "ms", rounds, median(first) / median(last), "one week of sales over ten")


def people(say: Say, monday: Any, statements: tuple[str, ...] = PEOPLE[:-1]) -> None:
    """Add the maestros and what they have, or their reports; then let PostgreSQL count."""
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement, {"maestros": MAESTROS, "monday": monday})
            say(f"{cursor.rowcount:,} rows: {statement.split('(')[0].strip()}")
        cursor.execute("VACUUM ANALYZE")


def pages() -> dict[str, Callable[[], object]]:
    """Return the pages by name, each as a call that makes it."""
    homes = {f"home of {role}": _page(role, reverse("admin:index")) for role in ROLES}
    maestro, search = (
        reverse("admin:inscripciones_maestro_change", args=[ONE]),
        "admin:inscripciones_maestro_changelist",
    )
    return {
        **homes,
        "home of an administrator": _page("", reverse("admin:index")),
        "a maestro's page": _page("", maestro),
        "search by name": _page("", reverse(search), "Rosa nañez maestra5"),
        "search by comuna and name": _page("", reverse(search), "temuco beto vega maestra12"),
    }


def _page(role: str, url: str, search: str = "") -> Callable[[], object]:
    user, made = Usuario.objects.get_or_create(
        username=f"bench {role}", defaults={"is_staff": True, "is_superuser": not role}
    )
    if made and role:
        user.groups.set(Group.objects.filter(name=role))
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    query = {"q": search} if search else {}
    return lambda: _answered(client.get(url, query, secure=True, HTTP_HOST="127.0.0.1"))


def _answered(response: Any) -> None:
    if response.status_code != 200:
        raise RuntimeError(f"the page answered {response.status_code}")


def ask(page: Callable[[], object]) -> tuple[float, list[tuple[float, str]]]:
    """Return the time of the page's queries in ms, and each query's time and plan."""
    overview.forget()
    with explaining() as plans:
        page()
    return sum(took for took, _ in plans), plans


@contextmanager
def explaining() -> Iterator[list[tuple[float, str]]]:
    """Collect time and plan of each SELECT in the block."""
    plans: list[tuple[float, str]] = []

    def explain(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.lstrip().startswith("SELECT"):
            execute(f"EXPLAIN (ANALYZE, BUFFERS) {sql}", params, many, context)
            plan = "\n".join(line for (line,) in context["cursor"].fetchall())
            [took] = re.findall(r"Execution Time: ([\d.]+) ms", plan)
            plans.append((float(took), plan))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(explain):
        yield plans


def essentials(plan: str) -> str:
    """Return the plan's lines about scans and sorts."""
    key = re.compile(r"Scan|Sort|Aggregate|Join|Loop|Limit|Index Cond|Rows Removed")
    return "\n".join(
        re.sub(r"cost=\S+ rows=\d+ width=\d+\) \(|loops=1", "", line) for line in plan.splitlines() if key.search(line)
    )
