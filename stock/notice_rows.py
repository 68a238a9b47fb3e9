"""TODO."""

import json
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from django.db import connection
from django.db.models import QuerySet

from stock.events import StockAgotado
from stock.libro import Llave
from stock.models import Aviso


def _cerrar_repuestos(avisos: QuerySet[Aviso]) -> None:
    """Closes, as of then, the notices whose restock is in the ledger: of the ingredient that each names, or of any."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE stock_aviso SET estado = 'atendido', cerrado_en = restock.ocurrido_en FROM stock_movimiento restock "
            "WHERE stock_aviso.id = ANY(%s) AND restock.tipo = 'reposicion' AND restock.referencia = stock_aviso.aviso_id "
            "AND restock.maestro_id = stock_aviso.maestro_id "
            "AND (stock_aviso.insumo = '' OR restock.insumos ? stock_aviso.insumo)",
            [list(avisos.values_list("pk", flat=True))],
        )


class _Fila(NamedTuple):
    """A notice's row, one an ingredient."""

    aviso_id: UUID
    maestro_id: UUID
    insumo: str
    origen: str
    ventas_hasta: str | None
    abierto_en: datetime


def _filas(eventos: list[StockAgotado]) -> list[_Fila]:
    hasta = {e.id: json.dumps(e.ventas_hasta) if e.ventas_hasta else None for e in eventos}
    return [
        _Fila(e.aviso_id, e.maestro_id, insumo, e.origen, hasta[e.id], e.time)
        for e in eventos
        for insumo in e.insumos or [""]
    ]


def _insertar(filas: list[_Fila], estado: str, ahora: datetime) -> set[tuple[UUID, str]]:
    """Inserts what conflicts with no row of its id and (if open) with no open one; returns (notice, ingredient) inserted."""
    if not filas:
        return set()
    cerrado_en = None if estado == Aviso.Estado.ABIERTO else ahora
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO stock_aviso (aviso_id, maestro_id, insumo, origen, ventas_hasta, abierto_en, estado, cerrado_en) "
            "SELECT new.*, %s, %s::timestamptz "
            "FROM unnest(%s::uuid[], %s::uuid[], %s::text[], %s::text[], %s::jsonb[], %s::timestamptz[]) new "
            "ON CONFLICT DO NOTHING RETURNING aviso_id, insumo",
            [estado, cerrado_en, *(list(column) for column in zip(*filas, strict=True))],
        )
        return set(cursor.fetchall())


def _repetir(filas: list[_Fila], ahora: datetime) -> None:
    """Closes them at once; the notice that stays open now waits for the sales before these, too."""
    repetidas = _insertar(filas, Aviso.Estado.REPETIDO, ahora)
    if not repetidas:
        return
    abiertos = Aviso.objects.filter(estado=Aviso.Estado.ABIERTO, carro__in={fila.maestro_id for fila in filas})
    por_llave = {(aviso.carro_id, aviso.insumo): aviso for aviso in abiertos}
    for fila in filas:
        if (fila.aviso_id, fila.insumo) in repetidas:
            aviso = por_llave[fila.maestro_id, fila.insumo]
            aviso.ventas_hasta = el_mas_tardio(aviso.ventas_hasta, json.loads(fila.ventas_hasta or "null"))
    Aviso.objects.bulk_update(por_llave.values(), ["ventas_hasta"])


def el_mas_tardio(uno: dict[str, int] | None, otro: dict[str, int] | None) -> dict[str, int] | None:
    """What lies beyond both, by partition; None (not known yet, the sweep asks) where one of them is."""
    if uno is None or otro is None:
        return None
    return {particion: max(uno.get(particion, 0), otro.get(particion, 0)) for particion in uno.keys() | otro.keys()}


def _abiertos() -> QuerySet[Aviso]:
    """Open notices of open carts, oldest first; a cart that is not open yet waits for its opening load."""
    abiertos = Aviso.objects.filter(estado=Aviso.Estado.ABIERTO, carro__abierto_en__isnull=False)
    return abiertos.order_by("abierto_en", "id")


def _cerrar_servidos(llaves: list[Llave], ahora: datetime) -> None:
    """A restock serves the notices that name its ingredient and the one that names everything that is out."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE stock_aviso SET estado = 'atendido', cerrado_en = %s FROM unnest(%s::uuid[], %s::text[]) filled (m, i) "
            "WHERE estado = 'abierto' AND maestro_id = filled.m AND insumo IN ('', filled.i)",
            [ahora, [maestro_id for maestro_id, _ in llaves], [insumo for _, insumo in llaves]],
        )


def _cerrar_infundados(avisos: list[Aviso], ahora: datetime) -> None:
    abiertos = Aviso.objects.filter(pk__in=[aviso.pk for aviso in avisos], estado=Aviso.Estado.ABIERTO)
    abiertos.update(estado=Aviso.Estado.INFUNDADO, cerrado_en=ahora)
