"""What people see of the carts: what each holds, when it will be empty, who runs out next, restocks by day."""

import heapq
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final, NamedTuple
from uuid import UUID

from django.db.models import Count, Min, Q, Sum
from django.db.models.functions import TruncDate
from django.utils import timezone

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
    """A cart's ingredient that will be empty at `se_agota_en`, for staff."""

    carro: str
    maestro_id: UUID
    insumo: str
    unidad: str
    cantidad: int
    se_agota_en: datetime


@dataclass(frozen=True)
class Dia:
    """Restocks of a Chilean day: how many notices were served, and how many ingredients that filled."""

    dia: date
    avisos: int
    insumos: int


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
    ritmos = _ritmos(Q(carro=maestro_id), ahora)
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


def proximos_en_agotarse(limite: int, *, ahora: datetime) -> list[Proximo]:
    """The ingredients of open carts that are in use and still there, the first to run out first. Two queries."""
    ritmos = _ritmos(Q(), ahora)
    existencias = Existencia.objects.filter(carro__in=Carro.objects.filter(abierto_en__isnull=False), cantidad__gt=0)
    con_ritmo = existencias.filter(carro__in={maestro_id for maestro_id, _ in ritmos}).select_related("carro", "insumo")
    return heapq.nsmallest(limite, _proximos(con_ritmo, ritmos, ahora), key=lambda proximo: proximo.se_agota_en)


def _proximos(
    existencias: Iterable[Existencia], ritmos: dict[tuple[UUID, str], Ritmo], ahora: datetime
) -> Iterable[Proximo]:
    for e in existencias:
        fin = se_agota_en(e.cantidad, ritmos.get((e.carro_id, e.insumo_id)), ahora=ahora)
        if fin is not None:
            yield Proximo(str(e.carro), e.carro_id, e.insumo.nombre, e.insumo.unidad, e.cantidad, fin)


def _ritmos(cuales: Q, ahora: datetime) -> dict[tuple[UUID, str], Ritmo]:
    """By maestro and ingredient, from the ledger of the last VENTANA."""
    tipos = [Movimiento.Tipo.VENTA, Movimiento.Tipo.ANULACION]
    recientes = Movimiento.objects.filter(cuales, tipo__in=tipos, ocurrido_en__gte=ahora - VENTANA).order_by()
    sumas = recientes.values("carro_id", "insumo").annotate(neto=Sum("cantidad"), desde=Min("ocurrido_en"))
    return {(fila["carro_id"], fila["insumo"]): Ritmo(-int(fila["neto"]), fila["desde"]) for fila in sumas}


def reposiciones_por_dia(dias: int, *, ahora: datetime) -> list[Dia]:
    """The last `dias` days in Chilean time, today included, empty ones too. One query."""
    hoy = timezone.localdate(ahora)
    desde = hoy - timedelta(days=dias - 1)
    repuestos = Movimiento.objects.filter(
        tipo=Movimiento.Tipo.REPOSICION, ocurrido_en__gte=ahora - timedelta(days=dias + 1)
    )
    por_dia = (
        repuestos.order_by()
        .values(dia=TruncDate("ocurrido_en"))
        .annotate(avisos=Count("referencia", distinct=True), insumos=Count("id"))
    )
    contados = {fila["dia"]: Dia(**fila) for fila in por_dia}
    fechas = [desde + timedelta(days=n) for n in range(dias)]
    return [contados.get(fecha, Dia(fecha, 0, 0)) for fecha in fechas]
