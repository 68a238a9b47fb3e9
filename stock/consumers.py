"""Sales and approvals become stock (`inventario`); notices become restocks (`distribuidores`)."""

from collections.abc import Sequence

from django.utils import timezone

from inscripciones.events import InscripcionAprobada
from kafka_bridge.consuming import restore
from kafka_bridge.consuming.handlers import handles
from kafka_bridge.events import Event
from stock import inventario, reposicion
from stock.events import StockAgotado, StockRepuesto
from stock.inventario import Apertura
from stock.libro import Asiento
from stock.models import Anulacion, Movimiento
from ventas.events import VentaAnulada, VentaRegistrada


@handles(InscripcionAprobada, consumer=reposicion.INVENTARIO)
def abrir_carros(aprobadas: list[InscripcionAprobada]) -> None:
    """Opens the carts of new maestros, filled to capacity."""
    aperturas = [Apertura(e.id, e.maestro_id, e.nombre, e.aprobada_en, e.inscripcion_id) for e in aprobadas]
    inventario.abrir_carros(aperturas, ahora=timezone.now(), historia=son_historia(aprobadas))


@handles(VentaRegistrada, consumer=reposicion.INVENTARIO)
def descontar_ventas(ventas: list[VentaRegistrada]) -> None:
    """Takes the ingredients of each sale out of the cart, and says so when one ran out."""
    asientos = [
        Asiento(e.id, e.maestro_id, Movimiento.Tipo.VENTA.value, salidas, e.vendida_en, e.venta_id)
        for e in ventas
        if (salidas := {insumo: -cantidad for insumo, cantidad in e.insumos.items() if cantidad})
    ]
    inventario.descontar(asientos, ahora=timezone.now(), historia=son_historia(ventas))


@handles(VentaAnulada, consumer=reposicion.INVENTARIO)
def devolver_anuladas(anuladas: list[VentaAnulada]) -> None:
    """Gives back what a voided sale took, once the sale has come too."""
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
        historia=son_historia(anuladas),
    )


@handles(StockAgotado, consumer=reposicion.DISTRIBUIDORES)
def reponer_carros(agotados: list[StockAgotado]) -> None:
    """Fills the carts that ran out, and tells the maestro."""
    reposicion.recibir_avisos(agotados, ahora=timezone.now(), historia=son_historia(agotados))


@handles(StockRepuesto, consumer=reposicion.DISTRIBUIDORES)
def recordar_reposiciones(repuestos: list[StockRepuesto]) -> None:
    """Restocks: known already, except those that a restored database lost."""
    reposicion.recordar_reposiciones(repuestos)


def son_historia(eventos: Sequence[Event]) -> bool:
    """Whether what these events led to is in Kafka already and comes back by itself, after a restore."""
    return bool(eventos) and restore.is_before_restore(max(evento.time for evento in eventos))
