"""The ledger: the only door through which a cart's stock moves.

Lines and totals are written together, totals moved by what was really inserted: the total is the sum of the ledger, whatever
is delivered twice. Whoever writes holds the carts (`tomar`), always in the order of their ids, so that `inventario`
and `distribuidores`, two processes on the same rows, wait for each other and never in a circle.
"""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec
from django.db import IntegrityError, connection, transaction
from psycopg.errors import UniqueViolation

Llave = tuple[UUID, str]  # maestro, ingredient code
Totales = dict[Llave, int]  # what is there after a write, in the ingredient's unit

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
_COPY: Final = f"COPY stock_movimiento ({', '.join(COLUMNS)}) FROM STDIN (FORMAT BINARY)"

_MOVED: Final = """
    INSERT INTO stock_existencia AS held (maestro_id, insumo, cantidad)
    SELECT maestro_id, insumo, cantidad FROM moved ORDER BY maestro_id, insumo
    ON CONFLICT (maestro_id, insumo) DO UPDATE SET cantidad = held.cantidad + excluded.cantidad
    RETURNING maestro_id, insumo, cantidad"""

# Lines in, totals out. {lines} yields the columns below; equal lines in one statement collapse too.
_WRITE: Final = (
    """
    WITH written AS (
        INSERT INTO stock_movimiento (evento_id, maestro_id, tipo, insumos, ocurrido_en, referencia, motivo)
        {lines}
        ON CONFLICT (evento_id) DO NOTHING
        RETURNING maestro_id, insumos
    ), moved AS (
        SELECT maestro_id, line.key AS insumo, sum(line.value::bigint) AS cantidad
        FROM written, jsonb_each_text(insumos) line GROUP BY maestro_id, line.key
    )
    """  # noqa: S608 - constants  # nosec B608
    + _MOVED
)

_MOVE: Final = (
    """
    WITH moved AS (SELECT * FROM unnest(%s::uuid[], %s::text[], %s::bigint[]) moved (maestro_id, insumo, cantidad))
    """  # noqa: S608 - constants  # nosec B608
    + _MOVED
)

_GIVEN: Final = """
    SELECT * FROM unnest(%s::uuid[], %s::uuid[], %s::text[], %s::jsonb[], %s::timestamptz[], %s::uuid[], %s::text[])"""

_VOIDED: Final = """
    SELECT void.evento_id, sale.maestro_id, 'anulacion',
           (SELECT jsonb_object_agg(line.key, -line.value::bigint) FROM jsonb_each_text(sale.insumos) line),
           void.anulada_en, sale.referencia, ''
    FROM stock_anulacion void JOIN stock_movimiento sale ON sale.evento_id = void.venta AND sale.maestro_id = void.maestro_id
    WHERE void.venta = ANY(%s) AND sale.tipo = 'venta'"""


class Asiento(NamedTuple):
    """A line to write: `insumos` come in or (negative) go out, by code, in their units; `ocurrido_en` in UTC."""

    evento_id: UUID
    maestro_id: UUID
    tipo: str
    insumos: dict[str, int]
    ocurrido_en: datetime
    referencia: UUID | None
    motivo: str = ""


INSUMOS: Final = Asiento._fields.index("insumos")


def tomar(maestros: Iterable[UUID]) -> set[UUID]:
    """Locks the carts until the transaction ends, making those that are missing; returns which of them are open."""
    ids = sorted(set(maestros))
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO stock_carro (maestro_id, nombre) SELECT id, '' FROM unnest(%s::uuid[]) id ON CONFLICT DO NOTHING",
            [ids],
        )
        cursor.execute(
            "SELECT maestro_id, abierto_en IS NOT NULL FROM stock_carro WHERE maestro_id = ANY(%s) "
            "ORDER BY maestro_id FOR UPDATE",
            [ids],
        )
        return {maestro_id for maestro_id, is_open in cursor.fetchall() if is_open}


def asentar(asientos: Iterable[Asiento]) -> Totales:
    """Writes lines that are not there yet and moves each total once; returns the totals that moved. Needs `tomar`.

    COPY straight into the table is three times as fast as the statement that looks at each line, and takes all or nothing:
    where one was there already (a replay) it is undone, and the statement sorts them out.
    """
    lines = list(asientos)
    if not lines:
        return {}
    try:
        with transaction.atomic():
            _copy(lines)
    except IntegrityError as error:
        if not isinstance(error.__cause__, UniqueViolation):
            raise
        columns = [list(column) for column in zip(*lines, strict=True)]
        columns[INSUMOS] = [msgspec.json.encode(insumos).decode() for insumos in columns[INSUMOS]]
        return _query(_WRITE.format(lines=_GIVEN), columns)
    return _move(lines)


def _copy(lines: list[Asiento]) -> None:
    with connection.cursor() as cursor, connection.wrap_database_errors, cursor.copy(_COPY) as copy:
        copy.set_types(list(COLUMNS.values()))
        for line in lines:
            copy.write_row(line)


def _move(lines: list[Asiento]) -> Totales:
    moved: dict[UUID, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for line in lines:
        cart = moved[line.maestro_id]
        for insumo, cantidad in line.insumos.items():
            cart[insumo] += cantidad
    totals = [(maestro_id, insumo, cantidad) for maestro_id, cart in moved.items() for insumo, cantidad in cart.items()]
    return _query(_MOVE, [list(column) for column in zip(*totals, strict=True)])


def asentar_anulaciones(ventas: Iterable[UUID]) -> Totales:
    """Gives back what voided sales took, for those (event ids) of which both the sale and its void have come."""
    return _query(_WRITE.format(lines=_VOIDED), [list(ventas)])


def _query(sql: str, columns: list[Any]) -> Totales:
    with connection.cursor() as cursor:
        cursor.execute(sql, columns)
        return {(maestro_id, insumo): int(cantidad) for maestro_id, insumo, cantidad in cursor.fetchall()}
