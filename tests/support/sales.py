"""Events for sales and voids, as the API publishes them."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from ventas.events import VentaAnulada, VentaRegistrada

# Wednesday of 2026-W47 in Chile.
NOW = datetime(2026, 11, 18, 15, 0, tzinfo=UTC)
# In g, pieces, ml, pieces.
MEDIANO = {"mote": 150, "huesillo": 2, "jugo": 300, "vaso": 1}


def sale(maestro_id: UUID, **fields: Any) -> VentaRegistrada:
    """Return one `mediano` sold at NOW for 2,000 CLP; `fields` replace its own."""
    venta_id = fields.pop("venta_id", None) or uuid4()
    values = {
        "producto": "mediano",
        "cantidad": 1,
        "precio_unitario": 2_000,
        "costo_unitario": 610,
        "insumos": MEDIANO,
        "vendida_en": NOW,
        "time": NOW,
        **fields,
    }
    id_ = VentaRegistrada.derive_id(maestro_id, venta_id)
    return VentaRegistrada(id=id_, venta_id=venta_id, maestro_id=maestro_id, **values)


def void_of(sold: VentaRegistrada, time: datetime = NOW) -> VentaAnulada:
    """Return the event that voids the sale."""
    id_ = VentaAnulada.derive_id(sold.maestro_id, sold.venta_id)
    return VentaAnulada(id=id_, time=time, venta_id=sold.venta_id, maestro_id=sold.maestro_id)
