"""The rows of notices: how they are inserted, found and closed.

A notice that names several ingredients is several rows with the same `aviso_id`. A notice that
names none is one row whose `insumo` is empty.
"""

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

from django.db import connection
from django.db.models import QuerySet

from stock.events import StockAgotado
from stock.models import Aviso
from stock.movimientos import StockKey


class NoticeRow(NamedTuple):
    """A row to insert.

    `ventas_hasta`: JSON of the offset by partition, in the topic with the id `ventas_topico`; None
    if the end of the sales is unknown.
    """

    aviso_id: UUID
    maestro_id: UUID
    insumo: str
    origen: str
    ventas_hasta: str | None
    ventas_topico: str
    abierto_en: datetime


def rows_of(eventos: Iterable[StockAgotado]) -> list[NoticeRow]:
    """Return the rows of these notices, one per ingredient that a notice names."""
    rows = []
    for evento in eventos:
        hasta = json.dumps(evento.ventas_hasta) if evento.ventas_hasta else None
        for insumo in evento.insumos or [""]:
            about = (evento.aviso_id, evento.maestro_id, insumo, evento.origen)
            rows.append(NoticeRow(*about, hasta, evento.ventas_topico, evento.time))
    return rows


def insert_open(rows: list[NoticeRow]) -> set[tuple[UUID, str]]:
    """Insert the rows as open notices; return the keys (notice, ingredient) that were inserted.

    A row is skipped if it exists already, or if its cart already has an open notice of that
    ingredient.
    """
    return _insert(rows, Aviso.Estado.ABIERTO, None)


def insert_repeated(rows: list[NoticeRow], ahora: datetime) -> None:
    """Insert the rows as closed notices that repeat an open one, skipping rows that exist.

    The open notice then waits for the sales before the repeated one, too.
    """
    inserted = _insert(rows, Aviso.Estado.REPETIDO, ahora)
    if not inserted:
        return
    abiertos = Aviso.objects.filter(estado=Aviso.Estado.ABIERTO, carro__in={row.maestro_id for row in rows})
    by_key = {(aviso.carro_id, aviso.insumo): aviso for aviso in abiertos}
    for row in rows:
        if (row.aviso_id, row.insumo) in inserted:
            aviso = by_key[row.maestro_id, row.insumo]
            same_topic = aviso.ventas_topico == row.ventas_topico
            repeated = json.loads(row.ventas_hasta or "null") if same_topic else None
            aviso.ventas_hasta = later_end(aviso.ventas_hasta, repeated)
    Aviso.objects.bulk_update(by_key.values(), ["ventas_hasta"])


def _insert(rows: list[NoticeRow], estado: str, cerrado_en: datetime | None) -> set[tuple[UUID, str]]:
    if not rows:
        return set()
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO stock_aviso "
            "(aviso_id, maestro_id, insumo, origen, ventas_hasta, ventas_topico, abierto_en, estado, cerrado_en) "
            "SELECT new.*, %s, %s::timestamptz "
            "FROM unnest(%s::uuid[], %s::uuid[], %s::text[], %s::text[], %s::jsonb[], %s::text[], "
            "%s::timestamptz[]) new "
            "ON CONFLICT DO NOTHING RETURNING aviso_id, insumo",
            [estado, cerrado_en, *(list(column) for column in zip(*rows, strict=True))],
        )
        return set(cursor.fetchall())


def later_end(one: dict[str, int] | None, other: dict[str, int] | None) -> dict[str, int] | None:
    """Return the later of two ends of the sales, for each partition.

    None (unknown: the sweep asks Kafka) if one of them is None.
    """
    if one is None or other is None:
        return None
    return {partition: max(one.get(partition, 0), other.get(partition, 0)) for partition in one.keys() | other.keys()}


def open_notices() -> QuerySet[Aviso]:
    """Return the open notices of open carts, the oldest first.

    A notice of a cart that is not open yet waits for the cart's opening load.
    """
    abiertos = Aviso.objects.filter(estado=Aviso.Estado.ABIERTO, carro__abierto_en__isnull=False)
    return abiertos.order_by("abierto_en", "id")


_SOME_WAIT: Final = """
    SELECT EXISTS (
        SELECT FROM stock_aviso JOIN stock_carro USING (maestro_id)
        WHERE estado = 'abierto' AND ventas_hasta IS NOT NULL AND stock_carro.abierto_en IS NOT NULL
    )"""


def some_wait_for_sales() -> bool:
    """Return whether a notice of an open cart waits until sales are counted."""
    with connection.cursor() as cursor:
        cursor.execute(_SOME_WAIT)
        return bool(cursor.fetchone()[0])


def close_served(keys: Iterable[StockKey], ahora: datetime) -> None:
    """Close the open notices that these restocks serve.

    A restock of an ingredient serves the notice that names it, and the one that names everything.
    """
    maestros, insumos = zip(*keys, strict=True)
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE stock_aviso SET estado = 'atendido', cerrado_en = %s "
            "FROM unnest(%s::uuid[], %s::text[]) filled (maestro_id, insumo) "
            "WHERE estado = 'abierto' AND stock_aviso.maestro_id = filled.maestro_id "
            "AND stock_aviso.insumo IN ('', filled.insumo)",
            [ahora, list(maestros), list(insumos)],
        )


def close_unfounded(avisos: Iterable[Aviso], ahora: datetime) -> None:
    """Close those of these notices that are still open as unfounded: nothing was missing."""
    abiertos = Aviso.objects.filter(pk__in=[aviso.pk for aviso in avisos], estado=Aviso.Estado.ABIERTO)
    abiertos.update(estado=Aviso.Estado.INFUNDADO, cerrado_en=ahora)


def close_restocked(avisos: QuerySet[Aviso]) -> None:
    """Close the notices whose restock is in the ledger already, at the time of that restock.

    It must be a restock of the ingredient that the row names; of any ingredient if it names none.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE stock_aviso SET estado = 'atendido', cerrado_en = restock.ocurrido_en "
            "FROM stock_movimiento restock "
            "WHERE stock_aviso.id = ANY(%s) AND restock.tipo = 'reposicion' "
            "AND restock.referencia = stock_aviso.aviso_id AND restock.maestro_id = stock_aviso.maestro_id "
            "AND (stock_aviso.insumo = '' OR restock.insumos ? stock_aviso.insumo)",
            [list(avisos.values_list("pk", flat=True))],
        )
