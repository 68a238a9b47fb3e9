"""What people see of the carts: what each holds, when it will be empty, who runs out next, restocks by day."""

import heapq
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final, NamedTuple
from uuid import UUID

from django.db import connection
from django.db.models import Count
from django.db.models.functions import TruncDate
from django.utils import timezone

from gremio.formats import con_unidad
from stock.libro import Llave
from stock.models import Carro, Existencia, Insumo, Movimiento

VENTANA: Final = timedelta(hours=1)  # what "recent pace" looks back on
RITMO_MINIMO: Final = timedelta(minutes=1)  # a single sale just now is no pace of a sale a millisecond
HORIZONTE: Final = timedelta(days=30)  # beyond it, nobody can tell


class Ritmo(NamedTuple):
    """What a cart sold of an ingredient, net of voids, in its unit, since the first sale of the window (UTC)."""

    vendido: int
    desde: datetime


@dataclass(frozen=True)
class Linea:
    """An ingredient of a cart as its maestro sees it: never below zero, though the ledger may be."""

    insumo: str
    cantidad: int
    capacidad: int
    unidad: str
    agotado: bool
    se_agota_en: datetime | None


@dataclass(frozen=True)
class Proximo:
    """A cart and its ingredient that will be empty at `se_agota_en`, for staff; `queda` with its unit."""

    carro: str
    maestro_id: UUID
    insumo: str
    queda: str
    se_agota_en: datetime


@dataclass(frozen=True)
class Dia:
    """How many restocks a Chilean day saw."""

    dia: date
    reposiciones: int


class Renglon(NamedTuple):
    """One ingredient of a movement, as the ledger is read: `cantidad` comes in or (negative) goes out."""

    insumo: str
    tipo: str
    cantidad: int
    ocurrido_en: datetime
    referencia: UUID | None
    motivo: str


def se_agota_en(cantidad: int, ritmo: Ritmo | None, *, ahora: datetime) -> datetime | None:
    """When `cantidad` will be gone at that pace: ahora + time * cantidad / sold. None without a pace or past HORIZONTE."""
    if ritmo is None or ritmo.vendido <= 0:
        return None
    transcurrido = max(ahora - ritmo.desde, RITMO_MINIMO)
    ventanas_que_quedan = max(0, cantidad) / ritmo.vendido
    return ahora + transcurrido * ventanas_que_quedan if ventanas_que_quedan <= HORIZONTE / transcurrido else None


def estado_del_carro(maestro_id: UUID, *, ahora: datetime) -> list[Linea]:
    """Every ingredient of a maestro's cart, by code. Three queries."""
    cantidades = dict(Existencia.objects.filter(carro=maestro_id).values_list("insumo_id", "cantidad"))
    ritmos = _ritmos(maestro_id, ahora)
    return [
        _linea(i, cantidades.get(i.codigo, 0), ritmos.get((maestro_id, i.codigo)), ahora) for i in Insumo.objects.all()
    ]


def _linea(insumo: Insumo, cantidad: int, ritmo: Ritmo | None, ahora: datetime) -> Linea:
    return Linea(
        insumo=insumo.codigo,
        cantidad=max(0, cantidad),
        capacidad=insumo.capacidad,
        unidad=insumo.unidad,
        agotado=cantidad <= 0,
        se_agota_en=se_agota_en(cantidad, ritmo, ahora=ahora),
    )


def renglones(movimientos: Iterable[Movimiento]) -> list[Renglon]:
    """The movements, an ingredient a line, by code."""
    return [
        Renglon(insumo, m.tipo, cantidad, m.ocurrido_en, m.referencia, m.motivo)
        for m in movimientos
        for insumo, cantidad in sorted(m.insumos.items())
    ]


def proximos_en_agotarse(limite: int, *, ahora: datetime) -> list[Proximo]:
    """Open carts with sales in the last hour and the ingredient that each lacks first, the soonest first. Two queries."""
    ritmos = _ritmos(None, ahora)
    abiertos = Carro.objects.filter(abierto_en__isnull=False, pk__in={maestro_id for maestro_id, _ in ritmos})
    existencias = Existencia.objects.filter(carro__in=abiertos, cantidad__gt=0).select_related("carro", "insumo")
    primeros: dict[UUID, Proximo] = {}
    for e in existencias:
        fin = se_agota_en(e.cantidad, ritmos.get((e.carro_id, e.insumo_id)), ahora=ahora)
        if fin is not None and (e.carro_id not in primeros or fin < primeros[e.carro_id].se_agota_en):
            primeros[e.carro_id] = _proximo(e, fin)
    return heapq.nsmallest(limite, primeros.values(), key=lambda proximo: proximo.se_agota_en)


def _proximo(e: Existencia, fin: datetime) -> Proximo:
    return Proximo(str(e.carro), e.carro_id, e.insumo.nombre, con_unidad(e.cantidad, e.insumo.unidad), fin)


def _ritmos(maestro_id: UUID | None, ahora: datetime) -> dict[Llave, Ritmo]:
    """By maestro and ingredient, from the ledger of the last VENTANA: of one maestro, or (None) of all."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT maestro_id, line.key, -sum(line.value::bigint), min(ocurrido_en) "
            "FROM stock_movimiento, jsonb_each_text(insumos) line "
            "WHERE tipo IN ('venta', 'anulacion') AND ocurrido_en >= %s AND (%s::uuid IS NULL OR maestro_id = %s) "
            "GROUP BY maestro_id, line.key",
            [ahora - VENTANA, maestro_id, maestro_id],
        )
        return {(maestro, insumo): Ritmo(int(sold), since) for maestro, insumo, sold, since in cursor.fetchall()}


def reposiciones_por_dia(dias: int, *, ahora: datetime) -> list[Dia]:
    """The last `dias` days in Chilean time, today included, empty ones too. One query."""
    hoy = timezone.localdate(ahora)
    fechas = [hoy - timedelta(days=n) for n in reversed(range(dias))]
    repuestos = Movimiento.objects.filter(
        tipo=Movimiento.Tipo.REPOSICION, ocurrido_en__gte=ahora - timedelta(days=dias + 1)
    )
    por_dia = repuestos.order_by().values_list(TruncDate("ocurrido_en")).annotate(Count("id"))
    contadas = dict(por_dia)
    return [Dia(fecha, contadas.get(fecha, 0)) for fecha in fechas]
