"""Accepting sales and voids: they become events, which are in Kafka or the outbox on return."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from kafka_bridge.publishing.producer import publish
from ventas.api import catalogo, entrada
from ventas.api.catalogo import Catalogo
from ventas.api.entrada import VentaEntrada
from ventas.calendario import CHILE
from ventas.events import VentaAnulada, VentaRegistrada
from ventas.models import Venta

IdFor = Callable[[int], UUID]  # the id for the sale at an index that was sent without one


def aceptar_una(datos: Any, *, maestro_id: UUID, id_for: IdFor, ahora: datetime, zona: ZoneInfo = CHILE) -> UUID:
    """Accept the sale in a request's body; return its id.

    Raises ValidationError if the sale is invalid, and Unavailable if Kafka and the database are
    down.
    """
    productos = catalogo.vigente()
    venta = entrada.leer_una(datos, catalogo=productos, ahora=ahora, zona=zona)
    [venta_id] = _publish([venta], productos, maestro_id=maestro_id, id_for=id_for, ahora=ahora)
    return venta_id


def aceptar_lista(
    datos: Sequence[Any], *, maestro_id: UUID, id_for: IdFor, ahora: datetime, zona: ZoneInfo = CHILE
) -> list[UUID]:
    """Accept all sales of a list or none; return their ids in the same order.

    Raises ListaInvalida if a sale is invalid, and Unavailable if Kafka and the database are down.
    """
    productos = catalogo.vigente()
    ventas = entrada.leer_lista(datos, catalogo=productos, ahora=ahora, zona=zona)
    return _publish(ventas, productos, maestro_id=maestro_id, id_for=id_for, ahora=ahora)


def aceptar_anulacion(venta: Venta, *, motivo: str) -> UUID:
    """Accept the void of a sale; return the sale's id.

    Raises Unavailable if Kafka and the database are down.
    """
    publish(
        VentaAnulada.now(
            id=VentaAnulada.derive_id(venta.maestro_id, venta.venta_id),
            venta_id=venta.venta_id,
            maestro_id=venta.maestro_id,
            motivo=motivo,
        )
    )
    return venta.venta_id


def _publish(
    ventas: Sequence[VentaEntrada], productos: Catalogo, *, maestro_id: UUID, id_for: IdFor, ahora: datetime
) -> list[UUID]:
    ids = [venta.id or id_for(indice) for indice, venta in enumerate(ventas)]
    publish(
        *[
            _evento(venta, productos, venta_id=id_, maestro_id=maestro_id, ahora=ahora)
            for id_, venta in zip(ids, ventas, strict=True)
        ]
    )
    return ids


def _evento(
    venta: VentaEntrada, productos: Catalogo, *, venta_id: UUID, maestro_id: UUID, ahora: datetime
) -> VentaRegistrada:
    """Return the event of a sale, with its price, cost and ingredients from the catalogue."""
    producto = productos[venta.producto]
    return VentaRegistrada(
        id=VentaRegistrada.derive_id(maestro_id, venta_id),
        time=ahora,
        venta_id=venta_id,
        maestro_id=maestro_id,
        producto=producto.codigo,
        cantidad=venta.cantidad,
        precio_unitario=producto.precio,
        costo_unitario=producto.costo,
        insumos=producto.insumos_de(venta.cantidad),
        vendida_en=venta.vendida_en or ahora,
    )
