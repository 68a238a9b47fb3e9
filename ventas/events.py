"""The events of sales.

A sale carries its price, its cost and the ingredients it used, as they stood in the catalogue when
the sale was accepted.
"""

from typing import Annotated, ClassVar, Final
from uuid import UUID

import msgspec

from gremio.types import Amount, Code
from kafka_bridge.events import Event, Instant, Text, Topic
from kafka_bridge.events.ids import text

VENTAS = Topic(name="mamochi.ventas", partitions=6)

# Limits of one sale. The largest price fits an int4 column; with at most MAX_UNIDADES units per
# sale, the sums of a week fit a bigint.
MAX_UNIDADES: Final = 1_000
Pesos = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]


class VentaRegistrada(Event, frozen=True):
    """A maestro sold `cantidad` units of a product. Prices and costs are in whole CLP per unit.

    `venta_id` is the client's own id, or one made for the client: `GET ventas/{id}/` takes it.
    `insumos` is what the whole sale takes from the cart, by ingredient code, in the ingredient's
    own unit (g, ml or pieces).
    """

    type: ClassVar[str] = "mamochi.ventas.venta-registrada.v1"
    topic: ClassVar[Topic] = VENTAS
    summary = "Un maestro vendió; lleva el precio, el costo y los ingredientes de ese momento."
    example = {
        "producto": "mediano",
        "cantidad": 2,
        "precio_unitario": 2500,
        "costo_unitario": 900,
        "insumos": {"mote": 300, "huesillo": 4, "jugo": 600, "vaso": 2},
    }
    venta_id: UUID
    maestro_id: UUID
    producto: Code
    cantidad: Annotated[int, msgspec.Meta(ge=1, le=MAX_UNIDADES)]
    precio_unitario: Pesos
    costo_unitario: Pesos
    insumos: Annotated[dict[Code, Amount], msgspec.Meta(max_length=100)]
    vendida_en: Instant

    @property
    def key(self) -> str:
        return text(self.maestro_id)


class VentaAnulada(Event, frozen=True):
    """A maestro took back a sale registered by mistake. The void may arrive before the sale."""

    type: ClassVar[str] = "mamochi.ventas.venta-anulada.v1"
    topic: ClassVar[Topic] = VENTAS
    summary = "Un maestro retiró una venta registrada por error."
    example = {"motivo": "La registré dos veces."}
    venta_id: UUID
    maestro_id: UUID
    motivo: Annotated[Text, msgspec.Meta(max_length=300)] = ""

    @property
    def key(self) -> str:
        return str(self.maestro_id)
