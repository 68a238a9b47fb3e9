"""The ledger: the only door through which a cart's stock moves.

Lines and totals are written by one statement, totals moved by what was really inserted: the total is the sum of the ledger,
whatever is delivered twice. Whoever writes holds the carts (`tomar`), always in the order of their ids, so that `inventario`
and `distribuidores`, two processes on the same rows, wait for each other and never in a circle.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from django.db import connection

Llave = tuple[UUID, str]  # maestro, ingredient code
Totales = dict[Llave, int]  # what is there after a write, in the ingredient's unit

# Lines in, totals out. {lines} yields the columns below; equal lines in one statement collapse too.
_WRITE: Final = """
    WITH written AS (
        INSERT INTO stock_movimiento
            (evento_id, maestro_id, insumo, tipo, cantidad, ocurrido_en, referencia, motivo)
        {lines}
        ON CONFLICT (evento_id, insumo) DO NOTHING
        RETURNING maestro_id, insumo, cantidad
    )
    INSERT INTO stock_existencia AS held (maestro_id, insumo, cantidad)
    SELECT maestro_id, insumo, sum(cantidad) FROM written GROUP BY maestro_id, insumo ORDER BY maestro_id, insumo
    ON CONFLICT (maestro_id, insumo) DO UPDATE SET cantidad = held.cantidad + excluded.cantidad
    RETURNING maestro_id, insumo, cantidad"""

_GIVEN: Final = """
    SELECT * FROM unnest(%s::uuid[], %s::uuid[], %s::text[], %s::text[], %s::bigint[], %s::timestamptz[], %s::uuid[],
                         %s::text[])"""

_VOIDED: Final = """
    SELECT void.evento_id, sale.maestro_id, sale.insumo, 'anulacion', -sale.cantidad, void.anulada_en, sale.referencia, ''
    FROM unnest(%s::uuid[], %s::uuid[]) wanted (maestro_id, venta_id)
    JOIN stock_anulacion void USING (maestro_id, venta_id)
    JOIN stock_movimiento sale
        ON sale.maestro_id = void.maestro_id AND sale.referencia = void.venta_id AND sale.tipo = 'venta'"""


class Asiento(NamedTuple):
    """A line to write: `cantidad` comes in or (negative) goes out, in the ingredient's unit; `ocurrido_en` in UTC."""

    evento_id: UUID
    maestro_id: UUID
    insumo: str
    tipo: str
    cantidad: int
    ocurrido_en: datetime
    referencia: UUID | None
    motivo: str = ""


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
    return _write(_GIVEN, columns) if columns else {}


def asentar_anulaciones(ventas: Iterable[tuple[UUID, UUID]]) -> Totales:
    """Gives back what voided sales took, for those (maestro, sale) of which both the sale and its void have come."""
    wanted = sorted(set(ventas))
    return _write(_VOIDED, [[maestro for maestro, _ in wanted], [venta for _, venta in wanted]])


def _write(lines: str, columns: list[list[Any]]) -> Totales:
    with connection.cursor() as cursor:
        cursor.execute(_WRITE.format(lines=lines), columns)
        return {(maestro_id, insumo): int(cantidad) for maestro_id, insumo, cantidad in cursor.fetchall()}
