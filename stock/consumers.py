"""The handlers of two consumers: each makes one service call per batch of events.

`inventario` applies approvals, sales and voids to the carts. `distribuidores` applies notices and
restocks.
"""

from collections.abc import Sequence

from django.utils import timezone

from inscripciones.events import InscripcionAprobada
from kafka_bridge.consuming import restore
from kafka_bridge.consuming.handlers import Gathers, handles
from kafka_bridge.events import Event
from stock import avisos, inventario, reposicion
from stock.events import StockAgotado, StockRepuesto
from stock.inventario import Apertura
from stock.models import Anulacion, Movimiento
from stock.movimientos import Asiento
from stock.names import DISTRIBUIDORES, INVENTARIO
from ventas.events import VentaAnulada, VentaRegistrada


@handles(InscripcionAprobada, consumer=INVENTARIO)
def abrir_carros(aprobadas: list[InscripcionAprobada]) -> None:
    """Open the carts of new maestros, filled to capacity."""
    inventario.abrir_carros(
        [Apertura(e.id, e.maestro_id, e.nombre, e.aprobada_en, e.inscripcion_id) for e in aprobadas],
        ahora=timezone.now(),
        before_restore=_are_before_restore(aprobadas),
    )


@handles(VentaRegistrada, consumer=INVENTARIO, gathers=Gathers.ALWAYS)
def descontar_ventas(ventas: list[VentaRegistrada]) -> None:
    """Take the ingredients of each sale out of its cart, if it has any."""
    inventario.descontar(
        [_salida(venta) for venta in ventas if any(venta.insumos.values())],
        ahora=timezone.now(),
        before_restore=_are_before_restore(ventas),
    )


def _salida(venta: VentaRegistrada) -> Asiento:
    insumos = {insumo: -cantidad for insumo, cantidad in venta.insumos.items() if cantidad}
    return Asiento(venta.id, venta.maestro_id, Movimiento.Tipo.VENTA.value, insumos, venta.vendida_en, venta.venta_id)


@handles(VentaAnulada, consumer=INVENTARIO)
def devolver_anuladas(anuladas: list[VentaAnulada]) -> None:
    """Give back what each voided sale took, once the sale has arrived too."""
    inventario.anular(
        [
            Anulacion(
                carro_id=e.maestro_id,
                venta=VentaRegistrada.derive_id(e.maestro_id, e.venta_id),
                evento_id=e.id,
                anulada_en=e.time,
            )
            for e in anuladas
        ],
        ahora=timezone.now(),
        before_restore=_are_before_restore(anuladas),
    )


@handles(StockAgotado, consumer=DISTRIBUIDORES, gathers=Gathers.WHEN_BUSY)
def reponer_carros(agotados: list[StockAgotado]) -> None:
    """Store the notices and fill the carts that ran out."""
    avisos.recibir_avisos(agotados, ahora=timezone.now(), before_restore=_are_before_restore(agotados))


@handles(StockRepuesto, consumer=DISTRIBUIDORES)
def recordar_reposiciones(repuestos: list[StockRepuesto]) -> None:
    """Write the restocks that a restored database lost; the ledger has all others already."""
    reposicion.recordar_reposiciones(repuestos)


def _are_before_restore(eventos: Sequence[Event]) -> bool:
    """Return whether one of these events is replayed after a restore.

    The notices and restocks that followed from it are in Kafka and come back as their own events.
    What follows from new events of the same batch is left to the sweep.
    """
    return bool(restore.replayed(eventos))
