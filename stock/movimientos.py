"""The ledger: every change of a cart's stock goes through this module.

A line (`Movimiento`) is one change; a total (`Existencia`) is what a cart holds of an ingredient.
Both are written in one transaction, and a total moves only by the lines that were really inserted.
The total therefore equals the sum of the ledger, even if an event is delivered twice.

A writer first locks the carts (`tomar`), always in the order of their ids. `inventario` and
`distribuidores` are two processes that write the same rows: because of that order one waits for the
other, and they never deadlock.
"""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec
from django.db import connection

from gremio.arrays import array_of
from gremio.copy import FEW, copy_unless_duplicated
from gremio.transactions import transaction_required
from kafka_bridge import prepared
from stock.models import Movimiento

StockKey = tuple[UUID, str]  # maestro, ingredient code
Totals = dict[StockKey, int]  # the stock after a write, in the ingredient's unit


class Asiento(NamedTuple):
    """A line to write into the ledger.

    `insumos`: what comes in or (negative) goes out, by ingredient code, in its unit. `ocurrido_en`:
    UTC.
    """

    evento_id: UUID
    maestro_id: UUID
    tipo: str
    insumos: dict[str, int]
    ocurrido_en: datetime
    referencia: UUID | None
    motivo: str = ""


# The columns of a line and their PostgreSQL types, in the order of `Asiento`.
COLUMNS: Final = {
    "evento_id": "uuid",
    "maestro_id": "uuid",
    "tipo": "text",
    "insumos": "jsonb",
    "ocurrido_en": "timestamptz",
    "referencia": "uuid",
    "motivo": "text",
}


# Two statements in one round trip.
_LOCK_CARTS: Final = """
    INSERT INTO stock_carro (maestro_id, nombre) SELECT id, '' FROM unnest(%s::uuid[]) id ON CONFLICT DO NOTHING;
    SELECT maestro_id, abierto_en IS NOT NULL FROM stock_carro WHERE maestro_id = ANY(%s::uuid[])
    ORDER BY maestro_id FOR UPDATE
"""


@transaction_required
def tomar(maestros: Iterable[UUID]) -> set[UUID]:
    """Lock the carts until the transaction ends and return the maestros whose cart is open.

    A cart that has no row yet gets one, which is not open.
    """
    ids = array_of(sorted(set(maestros)))
    with connection.cursor() as cursor:
        cursor.execute(_LOCK_CARTS, [ids, ids])
        cursor.nextset()
        return {maestro_id for maestro_id, is_open in cursor.fetchall() if is_open}


def escritos(eventos: Iterable[UUID]) -> set[UUID]:
    """Return which of these events have a line."""
    return set(Movimiento.objects.filter(evento_id__in=list(eventos)).values_list("evento_id", flat=True))


@transaction_required
def asentar(asientos: Iterable[Asiento]) -> Totals:
    """Write the lines that the ledger does not have yet; return the totals that changed.

    The caller holds the carts (`tomar`). For many lines, COPY straight into the table is three
    times as fast as the statement that skips existing ones; for few, its savepoint costs more.
    """
    lines = list(asientos)
    if not lines:
        return {}
    if len(lines) >= FEW and copy_unless_duplicated("stock_movimiento", COLUMNS, lines):
        return _move_totals(lines)
    return _insert_missing(lines)


_MOVE_TOTALS: Final = """
    INSERT INTO stock_existencia AS held (maestro_id, insumo, cantidad)
    SELECT maestro_id, insumo, cantidad
    FROM unnest(%s::uuid[], %s::text[], %s::bigint[]) moved (maestro_id, insumo, cantidad)
    ORDER BY maestro_id, insumo
    ON CONFLICT (maestro_id, insumo) DO UPDATE SET cantidad = held.cantidad + excluded.cantidad
    RETURNING maestro_id, insumo, cantidad
"""


def _move_totals(lines: list[Asiento]) -> Totals:
    """Add up the lines by cart and ingredient, and add each sum to its total."""
    moved: dict[UUID, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for line in lines:
        cart = moved[line.maestro_id]
        for insumo, cantidad in line.insumos.items():
            cart[insumo] += cantidad
    sums = [(maestro_id, insumo, cantidad) for maestro_id, cart in moved.items() for insumo, cantidad in cart.items()]
    return _query_totals(_MOVE_TOTALS, [list(column) for column in zip(*sums, strict=True)])


# One statement writes lines and totals. A line that is given twice is inserted once.
_INSERT_MISSING: Final = """
    WITH written AS (
        INSERT INTO stock_movimiento (evento_id, maestro_id, tipo, insumos, ocurrido_en, referencia, motivo)
        SELECT evento_id, maestro_id, tipo, insumos, ocurrido_en, referencia, motivo FROM json_to_recordset(%s::json)
            AS given (evento_id uuid, maestro_id uuid, tipo text, insumos jsonb, ocurrido_en timestamptz,
                referencia uuid, motivo text)
        ON CONFLICT (evento_id) DO NOTHING
        RETURNING maestro_id, insumos
    ), moved AS (
        SELECT maestro_id, line.key AS insumo, sum(line.value::bigint) AS cantidad
        FROM written, jsonb_each_text(insumos) line
        GROUP BY maestro_id, line.key
    )
    INSERT INTO stock_existencia AS held (maestro_id, insumo, cantidad)
    SELECT maestro_id, insumo, cantidad FROM moved ORDER BY maestro_id, insumo
    ON CONFLICT (maestro_id, insumo) DO UPDATE SET cantidad = held.cantidad + excluded.cantidad
    RETURNING maestro_id, insumo, cantidad
"""


def _insert_missing(lines: list[Asiento]) -> Totals:
    return _query_totals(_INSERT_MISSING, [msgspec.json.encode([line._asdict() for line in lines]).decode()])


_ARRIVED_VOIDS: Final = "SELECT venta FROM stock_anulacion WHERE venta = ANY(%s::uuid[])"

# One statement writes the lines that give back what voided sales took, and moves the totals.
_GIVE_BACK_VOIDED: Final = """
    WITH written AS (
        INSERT INTO stock_movimiento (evento_id, maestro_id, tipo, insumos, ocurrido_en, referencia, motivo)
        SELECT void.evento_id, sale.maestro_id, 'anulacion',
            (SELECT jsonb_object_agg(line.key, -line.value::bigint) FROM jsonb_each_text(sale.insumos) line),
            void.anulada_en, sale.referencia, ''
        FROM stock_anulacion void
        JOIN stock_movimiento sale ON sale.evento_id = void.venta AND sale.maestro_id = void.maestro_id
        WHERE void.venta = ANY(%s::uuid[]) AND sale.tipo = 'venta'
        ON CONFLICT (evento_id) DO NOTHING
        RETURNING maestro_id, insumos
    ), moved AS (
        SELECT maestro_id, line.key AS insumo, sum(line.value::bigint) AS cantidad
        FROM written, jsonb_each_text(insumos) line
        GROUP BY maestro_id, line.key
    )
    INSERT INTO stock_existencia AS held (maestro_id, insumo, cantidad)
    SELECT maestro_id, insumo, cantidad FROM moved ORDER BY maestro_id, insumo
    ON CONFLICT (maestro_id, insumo) DO UPDATE SET cantidad = held.cantidad + excluded.cantidad
    RETURNING maestro_id, insumo, cantidad
"""


@transaction_required
def asentar_anulaciones(ventas: Iterable[UUID]) -> Totals:
    """Give back what voided sales took; return the totals that changed.

    `ventas`: the ids of the sales' events. A sale is given back once both the sale and its void
    have arrived, in either order. The caller holds the carts (`tomar`). Most sales have no void:
    looking for one costs a sixth of the statement that gives back.
    """
    with connection.cursor() as cursor:
        cursor.execute(_ARRIVED_VOIDS, [array_of(ventas)])
        anuladas = [venta for (venta,) in cursor.fetchall()]
        if not anuladas:
            return {}
        cursor.execute(_GIVE_BACK_VOIDED, [array_of(anuladas)])
        return _totals(cursor.fetchall())


def _query_totals(sql: str, parameters: list[Any]) -> Totals:
    with prepared.cursor() as cursor:
        cursor.execute(sql, parameters)
        return _totals(cursor.fetchall())


def _totals(rows: Iterable[tuple[Any, ...]]) -> Totals:
    return {(maestro_id, insumo): int(cantidad) for maestro_id, insumo, cantidad in rows}
