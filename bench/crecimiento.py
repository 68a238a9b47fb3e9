"""The cost of entering a sale as the ledger grows: an empty table against large ones."""

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any, Final
from uuid import UUID

import psutil
import psycopg
from django.db import connection

from bench import sales
from bench.result import Result, Say
from kafka_bridge.consuming.handlers import consumers
from ventas import calendario

SUMMARY = "contabilidad's rows per second into a ledger of 0 and 10 million sales (--millions 10 50: these sizes)"
MILLION: Final = 1_000_000
SALES_PER_DAY: Final = 125_000
MAESTROS: Final = [UUID(int=number) for number in range(10_000)]
ROUNDS: Final = 3
WARM_UP, MEASURED = 50_000, 250_000  # sales per round
SPARE: Final = 10_000  # batches may take more than is asked for
LEDGER: Final = "ventas_venta"

# One sale in 500 is voided a week later. The last sale was sold yesterday.
FILL: Final = """
INSERT INTO {table} (id, venta_id, maestro_id, producto, cantidad, precio_unitario, costo_unitario,
    vendida_en, dia, registrada_en, semana_contable, anulada_en, semana_anulacion)
SELECT {event_id}, gen_random_uuid(), lpad(to_hex(n * 7919 %% %(maestros)s), 32, '0')::uuid,
    (ARRAY['chico', 'mediano', 'grande'])[1 + n %% 3], 1 + n %% 4, 1500 + 500 * (n %% 3), 380 + 230 * (n %% 3),
    vendida, dia, vendida, semana,
    CASE WHEN n %% 500 = 0 THEN vendida + interval '7 days' END, CASE WHEN n %% 500 = 0 THEN semana + 7 END
FROM (
    SELECT n, dia, semana, comienzo + n * interval '22 hours' / %(per_day)s AS vendida
    FROM unnest(%(days)s::date[], %(mondays)s::date[], %(begins)s::timestamptz[]) AS day (dia, semana, comienzo),
        generate_series(1, %(per_day)s) AS n
) AS sold
"""
EVENT_ID: Final = "gen_random_uuid()"


@dataclass(frozen=True, slots=True)
class Cost:
    """Rows per second; CPU in µs, bytes of WAL and page images per row."""

    rate: float
    consumer: float
    postgres: float
    wal: float
    images: float


def run(say: Say, millions: Sequence[int] = (10,)) -> Result:
    """Measure each size in alternating rounds.

    The ratio is the rate of the smallest filled ledger over that of an empty one.
    """
    sizes = [0, *sorted(set(millions) - {0})]
    for size in sizes:
        began = time.perf_counter()
        make_ledger(size)
        say(f"{size} million sales: {time.perf_counter() - began:.0f} s, {gigabytes(size):.1f} GB")
    found: dict[int, list[Cost]] = {size: [] for size in sizes}
    for number in range(1, ROUNDS + 1):
        for size in sizes:
            found[size].append(measure(size))
            say(f"round {number}/{ROUNDS}: {size} million: {found[size][-1]}")
    return result(found)


def result(found: dict[int, list[Cost]]) -> Result:
    rounds = {f"{size} million": [cost.rate for cost in costs] for size, costs in found.items()}
    medians = {name: median(rates) for name, rates in rounds.items()}
    empty, *filled = medians.values()
    also = {f"{name} over empty": rate / empty for name, rate in medians.items()}
    for size, costs in found.items():
        also |= {
            f"{size} million, {what}": median(getattr(cost, key) for cost in costs) for key, what in FIGURES.items()
        }
    return Result("crecimiento", SUMMARY, "rows/s", rounds, filled[0] / empty, "first filled over empty", also)


FIGURES: Final = {
    "consumer": "contabilidad's CPU, µs/row",
    "postgres": "PostgreSQL's CPU, µs/row",
    "wal": "WAL, bytes/row",
    "images": "page images per row",
}


def parked(size: int) -> str:
    return f"ledger_{size}"


def make_ledger(size: int) -> None:
    """Create a table with the ledger's definition and `size` million sales.

    The indexes are built last, which is quicker, and as dense as if they had grown row by row.
    """
    table = parked(size)
    today = calendario.dia_en_chile(datetime.now(UTC))
    days = [today - timedelta(days=ago) for ago in range(size * MILLION // SALES_PER_DAY, 0, -1)]
    parameters: dict[str, Any] = {
        "maestros": len(MAESTROS),
        "per_day": SALES_PER_DAY,
        "days": days,
        "mondays": [calendario.lunes_de(day) for day in days],
        "begins": [calendario.comienzo(day) for day in days],
    }
    with connection.cursor() as cursor:
        cursor.execute("SELECT indexdef FROM pg_indexes WHERE tablename = %s", [LEDGER])
        definitions = [definition for (definition,) in cursor.fetchall()]
        cursor.execute(f"CREATE TABLE {table} (LIKE {LEDGER} INCLUDING DEFAULTS INCLUDING STORAGE)")
        cursor.execute(FILL.format(table=table, event_id=EVENT_ID), parameters)
        cursor.execute("SET maintenance_work_mem = '1GB'")
        for definition in definitions:
            cursor.execute(index_like(definition, size))
        cursor.execute(f"VACUUM (FREEZE, ANALYZE) {table}")


def index_like(definition: str, size: int) -> str:
    """Return the statement that creates the same index on the table of a size."""
    there = re.sub(r"INDEX (\w+) ON (\w+)\.\w+", rf"INDEX \1_{size} ON \2.{parked(size)}", definition)
    columns, _, condition = there.partition(" WHERE ")
    return f"{columns} WITH (fillfactor = 70){f' WHERE {condition}' if condition else ''}"


def gigabytes(size: int) -> float:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_total_relation_size(%s)", [parked(size)])
        return float(cursor.fetchone()[0]) / 2**30


def measure(size: int) -> Cost:
    """Apply new sales to the ledger of a size, which stands in for the product's own meanwhile."""
    contabilidad = consumers["contabilidad"]
    sales.fill_topic(WARM_UP + MEASURED + SPARE, MAESTROS)
    if not size:
        execute(f"TRUNCATE {parked(size)}")
    execute(f"ALTER TABLE {LEDGER} RENAME TO ledger_aside")
    execute(f"ALTER TABLE {parked(size)} RENAME TO {LEDGER}")
    sales.messages_per_second(contabilidad, WARM_UP)
    checkpoint()
    wal, images = written()
    backend = connection_process()
    cpu, server = time.process_time(), server_cpu(backend)
    rate = sales.messages_per_second(contabilidad, MEASURED)
    cpu = time.process_time() - cpu
    # The consumer has closed the connection. Its CPU counts as an ended process's from now on.
    backend.wait(30)
    server = server_cpu(connection_process()) - server
    wal, images = (after - before for after, before in zip(written(), (wal, images), strict=True))
    execute(f"ALTER TABLE {LEDGER} RENAME TO {parked(size)}")
    execute(f"ALTER TABLE ledger_aside RENAME TO {LEDGER}")
    return Cost(rate, cpu * 1e6 / MEASURED, server * 1e6 / MEASURED, wal / MEASURED, images / MEASURED)


def execute(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


def checkpoint() -> None:
    """Write all pages out, as the server's owner: the next change of each page writes its image."""
    place = connection.get_connection_params() | {"user": "postgres", "dbname": "postgres"}
    keys = ("host", "port", "user", "password", "dbname")
    with psycopg.connect(**{key: place[key] for key in keys}, autocommit=True) as server:
        server.execute("CHECKPOINT")


def written() -> tuple[float, float]:
    """Return the bytes of WAL and the number of page images that the server has written."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_force_next_flush(), pg_stat_clear_snapshot()")
        cursor.execute("SELECT pg_current_wal_insert_lsn() - '0/0', wal_fpi FROM pg_stat_wal")
        wal, images = cursor.fetchone()
        return float(wal), float(images)


def connection_process() -> psutil.Process:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return psutil.Process(cursor.fetchone()[0])


def server_cpu(backend: psutil.Process) -> float:
    """Return the seconds of CPU of all processes of the backend's server, ended ones too."""
    server = backend.parent()
    if server is None:
        raise RuntimeError("PostgreSQL's process has ended")
    ended = server.cpu_times()
    alive = [process.cpu_times() for process in (server, *server.children())]
    return ended.children_user + ended.children_system + sum(each.user + each.system for each in alive)
