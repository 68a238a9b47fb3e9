"""The cost of entering a sale as the ledger grows: an empty table against large ones."""

import argparse
import gc
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any, Final
from uuid import UUID, uuid4

import psycopg
from django.db import connection

from bench import sales
from bench.cpu import timed
from bench.result import RESULTS, Result, Say, write_svg
from kafka_bridge.consuming.handlers import consumers
from kafka_bridge.events.ids import uuid7
from ventas import calendario

SUMMARY = "contabilidad's rows per second into a ledger of 0 and 10 million sales (--millions 10 50: into these, too)"
MILLION: Final = 1_000_000
SALES_PER_DAY: Final = 125_000
MAESTROS: Final = [UUID(int=number) for number in range(10_000)]
ROUNDS: Final = 3
WARM_UP, MEASURED = 30_000, 200_000  # sales per round
SPARE: Final = 10_000  # batches may take more than is asked for
LEDGER: Final = "ventas_venta"

# One sale in 500 is voided a week later. The last sale was sold yesterday.
FILL: Final = """
INSERT INTO {table} (id, venta_id, maestro_id, producto, cantidad, precio_unitario, costo_unitario,
    vendida_en, dia, registrada_en, semana_contable, anulada_en, semana_anulacion)
SELECT {id}, random, (%(maestros)s::uuid[])[1 + n * 7919 %% %(cycle)s],
    (ARRAY['chico', 'mediano', 'grande'])[1 + n %% 3], 1 + n %% 4, 1500 + 500 * (n %% 3), 380 + 230 * (n %% 3),
    vendida, dia, vendida, semana,
    CASE WHEN n %% 500 = 0 THEN vendida + interval '7 days' END, CASE WHEN n %% 500 = 0 THEN semana + 7 END
FROM (
    SELECT n, dia, semana, gen_random_uuid() AS random, comienzo + n * interval '22 hours' / %(per_day)s AS vendida
    FROM unnest(%(days)s::date[], %(mondays)s::date[], %(begins)s::timestamptz[]) AS day (dia, semana, comienzo),
        generate_series(1, %(per_day)s) AS n
) AS sold
"""
RANDOM_ID: Final = "random"
ORDERED_ID: Final = (
    "(lpad(to_hex((extract(epoch FROM vendida) * 1000)::bigint), 12, '0') || substr(random::text, 14))::uuid"
)


@dataclass(frozen=True, slots=True)
class Ledger:
    """A table with the ledger's definition and so many million sales.

    `ordered`: their ids, and those of new sales, are in the order of time, as ours are. Otherwise
    they are random, as a client may choose them.
    """

    millions: int
    ordered: bool = True

    @property
    def name(self) -> str:
        return f"{self.millions} million{'' if self.ordered else ', random ids'}"

    @property
    def table(self) -> str:
        return f"ledger_{self.millions}_{'ordered' if self.ordered else 'random'}"


@dataclass(frozen=True, slots=True)
class Cost:
    """What a round took per row: µs of CPU, bytes of WAL, page images in the WAL."""

    rate: float  # rows per second
    consumer: float
    postgres: float
    wal: float
    images: float


FIGURES: Final = {
    "consumer": "contabilidad's CPU, µs/row",
    "postgres": "PostgreSQL's CPU, µs/row",
    "wal": "WAL, bytes/row",
    "images": "page images/row",
}


def arguments(rest: Sequence[str]) -> argparse.Namespace:
    """Parse this benchmark's own options."""
    parser = argparse.ArgumentParser(prog="./dev bench crecimiento", description=SUMMARY)
    parser.add_argument("--millions", type=int, nargs="+", default=[10], metavar="N", help="sizes (default: 10)")
    return parser.parse_args(rest)


def run(say: Say, options: argparse.Namespace) -> Result:
    """Measure the ledgers in rounds, each of which begins with another one.

    The ratio is the rate with the first size over the rate with an empty table. On a busy machine
    trust the ratio by CPU instead.
    """
    sizes = sorted(set(options.millions) - {0})
    ledgers = [Ledger(0), *map(Ledger, sizes), Ledger(sizes[0], ordered=False)]
    for ledger in ledgers:
        began = time.perf_counter()
        make(ledger)
        say(f"{ledger.name}: {gigabytes(ledger):.1f} GB, filled in {time.perf_counter() - began:.0f} s")
    gc.freeze()  # as run_consumer does
    found: dict[Ledger, list[Cost]] = {ledger: [] for ledger in ledgers}
    for number in range(1, ROUNDS + 1):
        # What a round has left to be written to the disk slows the next one down.
        turn = number % len(ledgers)
        for ledger in ledgers[turn:] + ledgers[:turn]:
            cost = measure(ledger)
            found[ledger].append(cost)
            say(f"round {number}/{ROUNDS}: {ledger.name} {cost.rate:,.0f} rows/s")
    plot(found)
    return result(found)


def result(found: dict[Ledger, list[Cost]]) -> Result:
    rounds = {ledger.name: [cost.rate for cost in costs] for ledger, costs in found.items()}
    rates = {name: median(each) for name, each in rounds.items()}
    also = {f"{name} over empty": rate / rates["0 million"] for name, rate in rates.items() if name != "0 million"}
    name, ratio = next(iter(also.items()))
    cpu = {ledger.name: middle(costs, "consumer") + middle(costs, "postgres") for ledger, costs in found.items()}
    also |= {f"{name} over empty, by CPU": cpu["0 million"] / each for name, each in cpu.items() if name != "0 million"}
    for ledger, costs in found.items():
        also |= {f"{ledger.name}: {unit}": middle(costs, figure) for figure, unit in FIGURES.items()}
    return Result("crecimiento", SUMMARY, "rows/s", rounds, ratio, name, also)


def middle(costs: Sequence[Cost], figure: str) -> float:
    return float(median(getattr(cost, figure) for cost in costs))


def make(ledger: Ledger) -> None:
    """Create and fill a table like the ledger.

    The indexes are built last, which is quicker, and about as dense as if they had grown.
    """
    today = calendario.dia_en_chile(datetime.now(UTC))
    days = [today - timedelta(days=ago) for ago in range(ledger.millions * MILLION // SALES_PER_DAY, 0, -1)]
    parameters: dict[str, Any] = {
        "maestros": MAESTROS,
        "cycle": len(MAESTROS),
        "per_day": SALES_PER_DAY,
        "days": days,
        "mondays": [calendario.lunes_de(day) for day in days],
        "begins": [calendario.comienzo(day) for day in days],
    }
    with connection.cursor() as cursor:
        cursor.execute("SELECT indexdef FROM pg_indexes WHERE tablename = %s", [LEDGER])
        definitions = [definition for (definition,) in cursor.fetchall()]
        cursor.execute(f"CREATE TABLE {ledger.table} (LIKE {LEDGER} INCLUDING DEFAULTS INCLUDING STORAGE)")
        fill = FILL.format(table=ledger.table, id=ORDERED_ID if ledger.ordered else RANDOM_ID)
        cursor.execute(fill, parameters)
        cursor.execute("SET maintenance_work_mem = '1GB'")
        for definition in definitions:
            cursor.execute(index_like(definition, ledger))
        cursor.execute(f"VACUUM (FREEZE, ANALYZE) {ledger.table}")


def index_like(definition: str, ledger: Ledger) -> str:
    """Return the statement that creates the same index on the ledger's table."""
    there = re.sub(r"INDEX (\w+) ON (\w+)\.\w+", rf"INDEX \1_{ledger.table} ON \2.{ledger.table}", definition)
    columns, _, condition = there.partition(" WHERE ")
    return f"{columns} WITH (fillfactor = 70){f' WHERE {condition}' if condition else ''}"


def gigabytes(ledger: Ledger) -> float:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_total_relation_size(%s)", [ledger.table])
        return float(cursor.fetchone()[0]) / 2**30


def measure(ledger: Ledger) -> Cost:
    """Apply new sales to the table, which stands in for the product's own meanwhile.

    The round begins with a checkpoint: it has the page images that follow one.
    """
    contabilidad = consumers["contabilidad"]
    new_id = uuid7 if ledger.ordered else uuid4
    sales.fill_topic(WARM_UP + MEASURED + SPARE, MAESTROS, new_id)
    if not ledger.millions:
        execute(f"TRUNCATE {ledger.table}")
    execute(f"ALTER TABLE {LEDGER} RENAME TO ledger_aside")
    execute(f"ALTER TABLE {ledger.table} RENAME TO {LEDGER}")
    sales.messages_per_second(contabilidad, WARM_UP)
    checkpoint()
    wal, images = written()
    rate, own, server = timed(lambda: sales.messages_per_second(contabilidad, MEASURED), MEASURED)
    wal, images = (after - before for after, before in zip(written(), (wal, images), strict=True))
    execute(f"ALTER TABLE {LEDGER} RENAME TO {ledger.table}")
    execute(f"ALTER TABLE ledger_aside RENAME TO {LEDGER}")
    return Cost(rate, own, server, wal / MEASURED, images / MEASURED)


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


def plot(found: dict[Ledger, list[Cost]]) -> None:
    """Write bench/results/crecimiento.svg: CPU per row by size, of the consumer and the server."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4), layout="constrained")
    axes, below = figure.subplots(1, 2)
    names = [ledger.name.replace(", ", ",\n") for ledger in found]
    bottom = [0.0] * len(found)
    for part in ("consumer", "postgres"):
        heights = [middle(costs, part) for costs in found.values()]
        axes.bar(names, heights, bottom=bottom, label=FIGURES[part])
        bottom = [under + height for under, height in zip(bottom, heights, strict=True)]
    axes.set_title("CPU per row (µs)")
    axes.legend()
    below.bar(names, [middle(costs, "wal") for costs in found.values()])
    below.set_title("WAL after a checkpoint (bytes per row)")
    for each in (axes, below):
        each.set_xlabel("sales in the ledger")
    write_svg(figure, RESULTS / "crecimiento.svg")
