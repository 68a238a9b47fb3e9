"""The ledger: the only door through which a cart's stock moves.

Lines and totals are written by one statement, totals moved by what was really inserted: the total is the sum of the ledger,
whatever is delivered twice. Whoever writes holds the carts (`tomar`), always in the order of their ids, so that `inventario`
and `distribuidores`, two processes on the same rows, wait for each other and never in a circle.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec
from django.db import connection

Llave = tuple[UUID, str]  # maestro, ingredient code
Totales = dict[Llave, int]  # what is there after a write, in the ingredient's unit

# Lines in, totals out. {lines} yields the columns below; equal lines in one statement collapse too.
_WRITE: Final = """
    WITH written AS (
        INSERT INTO stock_movimiento (evento_id, maestro_id, tipo, insumos, ocurrido_en, referencia, motivo)
        {lines}
        ON CONFLICT (evento_id) DO NOTHING
        RETURNING maestro_id, insumos
    ), moved AS (
        SELECT maestro_id, line.key AS insumo, sum(line.value::bigint) AS cantidad
        FROM written, jsonb_each_text(insumos) line GROUP BY maestro_id, line.key
    )
    INSERT INTO stock_existencia AS held (maestro_id, insumo, cantidad)
    SELECT maestro_id, insumo, cantidad FROM moved ORDER BY maestro_id, insumo
    ON CONFLICT (maestro_id, insumo) DO UPDATE SET cantidad = held.cantidad + excluded.cantidad
    RETURNING maestro_id, insumo, cantidad"""

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
    """Writes lines that are not there yet and moves each total once; returns the totals that moved. Needs `tomar`."""
    columns = [list(column) for column in zip(*asientos, strict=True)]
    if not columns:
        return {}
    columns[INSUMOS] = [msgspec.json.encode(insumos).decode() for insumos in columns[INSUMOS]]
    return _write(_GIVEN, columns)


def asentar_anulaciones(ventas: Iterable[UUID]) -> Totales:
    """Gives back what voided sales took, for those (event ids) of which both the sale and its void have come."""
    return _write(_VOIDED, [sorted(set(ventas))])


def _write(lines: str, columns: list[Any]) -> Totales:
    with connection.cursor() as cursor:
        cursor.execute(_WRITE.format(lines=lines), columns)
        return {(maestro_id, insumo): int(cantidad) for maestro_id, insumo, cantidad in cursor.fetchall()}
