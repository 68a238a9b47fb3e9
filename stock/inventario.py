"""TODO."""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from django.db import connection, transaction

from stock import libro
from stock.libro import Asiento
from stock.models import Anulacion, Movimiento
from stock.reposicion import _capacidades, _decidir_al_confirmar, avisar_agotados


class Apertura(NamedTuple):
    """A cart to open: `abierto_en` is when the maestro was approved, UTC."""

    evento_id: UUID
    maestro_id: UUID
    nombre: str
    abierto_en: datetime
    inscripcion_id: UUID


class Correccion(NamedTuple):
    """What staff found in a cart: more (positive) or less (negative) than the ledger says, in the ingredient's unit."""

    evento_id: UUID
    maestro_id: UUID
    insumo: str
    cantidad: int
    motivo: str


@transaction.atomic(savepoint=False)
def abrir_carros(aperturas: list[Apertura], *, ahora: datetime, historia: bool = False) -> None:
    """Opens carts with as much as fits of each ingredient, on top of what early sales already took."""
    libro.tomar(apertura.maestro_id for apertura in aperturas)
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE stock_carro SET nombre = opened.nombre, abierto_en = coalesce(stock_carro.abierto_en, opened.abierto_en) "
            "FROM unnest(%s::uuid[], %s::text[], %s::timestamptz[]) opened (maestro_id, nombre, abierto_en) "
            "WHERE stock_carro.maestro_id = opened.maestro_id",
            [list(column) for column in zip(*[(a.maestro_id, a.nombre, a.abierto_en) for a in aperturas], strict=True)],
        )
    carga, capacidades = Movimiento.Tipo.CARGA.value, _capacidades()
    totales = libro.asentar(
        Asiento(a.evento_id, a.maestro_id, carga, capacidades, a.abierto_en, a.inscripcion_id) for a in aperturas
    )
    causas = {a.maestro_id: a.evento_id for a in aperturas}
    if not historia:
        avisar_agotados(totales, set(causas), causas, ahora=ahora)


@transaction.atomic(savepoint=False)
def descontar(asientos: list[Asiento], *, ahora: datetime, historia: bool = False) -> None:
    """Takes sales out of the carts (open or not yet), nets those already voided, and sees to what ran out.

    In `historia` (replay.py) the notices and restocks of then come back as events of their own.
    """
    abiertos = libro.tomar(asiento.maestro_id for asiento in asientos)
    totales = libro.asentar(asientos)
    totales |= libro.asentar_anulaciones(asiento.evento_id for asiento in asientos)
    causas = {asiento.maestro_id: asiento.evento_id for asiento in asientos}
    if not historia:
        avisar_agotados(totales, abiertos, causas, ahora=ahora)
        _decidir_al_confirmar(ahora)


@transaction.atomic(savepoint=False)
def anular(anulaciones: list[Anulacion], *, ahora: datetime, historia: bool = False) -> None:
    """Remembers the voids and gives back what their sales took, as far as those have come."""
    libro.tomar(anulacion.carro_id for anulacion in anulaciones)
    Anulacion.objects.bulk_create(anulaciones, ignore_conflicts=True)
    libro.asentar_anulaciones(anulacion.venta for anulacion in anulaciones)
    if not historia:
        _decidir_al_confirmar(ahora)


def estrenar(insumo: str) -> None:
    """A new ingredient: every open cart has none of it yet, which the sweep notices. Carts that open later are filled."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO stock_existencia (maestro_id, insumo, cantidad) "
            "SELECT maestro_id, %s, 0 FROM stock_carro WHERE abierto_en IS NOT NULL ORDER BY maestro_id "
            "ON CONFLICT DO NOTHING",
            [insumo],
        )


@transaction.atomic(savepoint=False)
def corregir(correccion: Correccion, *, ahora: datetime) -> None:
    """Adds to a cart's stock (or takes, negative) what staff found, with the reason. Sent twice, it counts once."""
    evento_id, maestro_id, insumo, cantidad, motivo = correccion
    abiertos = libro.tomar([maestro_id])
    tipo = Movimiento.Tipo.CORRECCION.value
    totales = libro.asentar([Asiento(evento_id, maestro_id, tipo, {insumo: cantidad}, ahora, None, motivo)])
    avisar_agotados(totales, abiertos, {maestro_id: evento_id}, ahora=ahora)
