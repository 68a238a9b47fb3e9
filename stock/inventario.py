"""All that moves stock except restocks: opening loads, sales and their voids, corrections.

Restocks are in reposicion.py. Every movement is written by movimientos.py.
"""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from django.db import connection, transaction

from gremio.transactions import transaction_required
from stock import avisos, movimientos, reposicion
from stock.models import Anulacion, Movimiento
from stock.movimientos import Asiento


class Apertura(NamedTuple):
    """A cart to open. `abierto_en`: when the maestro was approved, UTC."""

    evento_id: UUID
    maestro_id: UUID
    nombre: str
    abierto_en: datetime
    inscripcion_id: UUID


@transaction_required
def abrir_carros(aperturas: list[Apertura], *, ahora: datetime, before_restore: bool = False) -> None:
    """Open carts, and load each ingredient to the capacity of a cart.

    Sales that arrived before the approval stay subtracted.
    With `before_restore` no notice is raised: those of that time come back as events of their own.
    """
    movimientos.tomar(apertura.maestro_id for apertura in aperturas)
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE stock_carro SET nombre = opened.nombre, "
            "abierto_en = coalesce(stock_carro.abierto_en, opened.abierto_en) "
            "FROM unnest(%s::uuid[], %s::text[], %s::timestamptz[]) opened (maestro_id, nombre, abierto_en) "
            "WHERE stock_carro.maestro_id = opened.maestro_id",
            [
                [apertura.maestro_id for apertura in aperturas],
                [apertura.nombre for apertura in aperturas],
                [apertura.abierto_en for apertura in aperturas],
            ],
        )
    carga, capacidades = Movimiento.Tipo.CARGA.value, reposicion.capacidades()
    totals = movimientos.asentar(
        Asiento(a.evento_id, a.maestro_id, carga, capacidades, a.abierto_en, a.inscripcion_id) for a in aperturas
    )
    if not before_restore:
        causas = {apertura.maestro_id: apertura.evento_id for apertura in aperturas}
        avisos.avisar_agotados(totals, set(causas), causas, ahora=ahora)


@transaction_required
def descontar(asientos: list[Asiento], *, ahora: datetime, before_restore: bool = False) -> None:
    """Take the ingredients of sales out of the carts, open or not.

    A sale whose void has arrived already is given back at once. Then notices are raised and
    decided. With `before_restore` they are not: the notices and restocks of that time come back as
    events of their own.
    """
    abiertos = movimientos.tomar(asiento.maestro_id for asiento in asientos)
    totals = movimientos.asentar(asientos)
    totals |= movimientos.asentar_anulaciones(asiento.evento_id for asiento in asientos)
    if not before_restore:
        causas = {asiento.maestro_id: asiento.evento_id for asiento in asientos}
        avisos.avisar_agotados(totals, abiertos, causas, ahora=ahora)
        reposicion.decidir_al_confirmar(ahora)


@transaction_required
def anular(anulaciones: list[Anulacion], *, ahora: datetime, before_restore: bool = False) -> None:
    """Store voids and give back what their sales took.

    A void that arrives before its sale waits for it. Then notices that wait for sales are decided,
    unless `before_restore` is set.
    """
    movimientos.tomar(anulacion.carro_id for anulacion in anulaciones)
    Anulacion.objects.bulk_create(anulaciones, ignore_conflicts=True)
    movimientos.asentar_anulaciones(anulacion.venta for anulacion in anulaciones)
    if not before_restore:
        reposicion.decidir_al_confirmar(ahora)


def estrenar(insumo: str) -> None:
    """Add a new ingredient to every open cart, with an amount of zero.

    The sweep then finds it out and restocks it. Carts that open later are loaded with it.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO stock_existencia (maestro_id, insumo, cantidad) "
            "SELECT maestro_id, %s, 0 FROM stock_carro WHERE abierto_en IS NOT NULL ORDER BY maestro_id "
            "ON CONFLICT DO NOTHING",
            [insumo],
        )


class Correccion(NamedTuple):
    """What staff counted in a cart, compared with the ledger: more (positive) or less (negative).

    `cantidad`: the difference, in the ingredient's unit.
    """

    evento_id: UUID
    maestro_id: UUID
    insumo: str
    cantidad: int
    motivo: str


@transaction.atomic
def corregir(correccion: Correccion, *, ahora: datetime) -> None:
    """Add a correction by staff to a cart's stock. A form that is sent twice counts once."""
    evento_id, maestro_id, insumo, cantidad, motivo = correccion
    abiertos = movimientos.tomar([maestro_id])
    tipo = Movimiento.Tipo.CORRECCION.value
    totals = movimientos.asentar([Asiento(evento_id, maestro_id, tipo, {insumo: cantidad}, ahora, None, motivo)])
    avisos.avisar_agotados(totals, abiertos, {maestro_id: evento_id}, ahora=ahora)
