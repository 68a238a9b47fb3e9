"""The events of the carts: one ran out, one was filled."""

from typing import Annotated, ClassVar, Literal
from uuid import UUID

import msgspec

from gremio.types import Amount, Code
from kafka_bridge.events import Event, Instant, Text, Topic

STOCK = Topic(name="mamochi.stock", partitions=3)


class StockAgotado(Event, frozen=True):
    """A notice that a cart ran out: the maestro's own, or the automatic one after a sale.

    `insumos`: ingredient codes; empty means everything that is out. `ventas_hasta`: where each
    partition of the topic of sales ended when the notice was accepted, None if that was unknown.
    The maestro can only have known of sales below these offsets. `ventas_topico`: the broker's id
    of that topic, because one that is deleted and made again begins at 0.
    """

    type: ClassVar[str] = "mamochi.stock.stock-agotado.v1"
    topic: ClassVar[Topic] = STOCK
    summary = "Un carro se quedó sin ingredientes: lo avisó el maestro o se notó al vender."
    example = {"insumos": ["huesillo"], "origen": "maestro"}
    aviso_id: UUID
    maestro_id: UUID
    insumos: Annotated[list[Code], msgspec.Meta(max_length=100)]
    origen: Literal["maestro", "automatico"]
    ventas_hasta: dict[int, Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]] | None = None
    ventas_topico: Annotated[Text, msgspec.Meta(max_length=40)] = ""

    @property
    def key(self) -> str:
        return str(self.maestro_id)


class StockRepuesto(Event, frozen=True):
    """The distributors filled a cart.

    `insumos`: what was added, by ingredient code, in its unit.
    """

    type: ClassVar[str] = "mamochi.stock.stock-repuesto.v1"
    topic: ClassVar[Topic] = STOCK
    summary = "Los distribuidores llenaron el carro."
    example = {"insumos": {"mote": 1500, "huesillo": 20}}
    aviso_id: UUID
    maestro_id: UUID
    insumos: Annotated[dict[Code, Amount], msgspec.Meta(min_length=1, max_length=100)]
    repuesto_en: Instant

    @property
    def key(self) -> str:
        return str(self.maestro_id)
