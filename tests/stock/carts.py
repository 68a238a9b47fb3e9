"""Events about carts, and what the database then holds."""

from collections import Counter
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid4

from inscripciones.events import InscripcionAprobada
from kafka_bridge.events.codec import decode
from kafka_bridge.events.event import Event
from kafka_bridge.models import ConsumerOffset, OutboxMessage
from stock.events import StockAgotado, StockRepuesto
from stock.inventario import Correccion
from stock.models import Aviso, Existencia, Movimiento
from stock.names import INVENTARIO, TOPICO_DE_VENTAS
from tests.support.sales import MEDIANO, NOW, sale
from ventas.events import VentaRegistrada

TOPIC_ID: Final = "tests"  # of the topic of sales
FULL: Final = {"mote": 1_500, "huesillo": 20, "jugo": 3_000, "vaso": 10}  # g, pieces, ml, pieces


def approval(maestro_id: UUID, nombre: str = "Rosa Ñáñez") -> InscripcionAprobada:
    """Return the event that opens the maestro's cart."""
    return InscripcionAprobada(
        id=InscripcionAprobada.derive_id(maestro_id),
        time=NOW,
        inscripcion_id=uuid4(),
        maestro_id=maestro_id,
        nombre=nombre,
        email="rosa@example.cl",
        aprobada_en=NOW - timedelta(days=1),
    )


def sale_of(maestro_id: UUID, vendida_en: datetime = NOW, **insumos: int) -> VentaRegistrada:
    """Return a sale that takes these ingredients; those of a `mediano` by default."""
    return sale(maestro_id, vendida_en=vendida_en, insumos=insumos or MEDIANO)


def medianos(maestro_id: UUID, count: int) -> list[VentaRegistrada]:
    return [sale_of(maestro_id) for _ in range(count)]


def notice(
    maestro_id: UUID, *insumos: str, ventas_hasta: dict[int, int] | None = None, ventas_topico: str = TOPIC_ID
) -> StockAgotado:
    """Return a maestro's own notice."""
    aviso_id = uuid4()
    return StockAgotado(
        id=StockAgotado.derive_id(aviso_id),
        time=NOW,
        aviso_id=aviso_id,
        maestro_id=maestro_id,
        insumos=list(insumos),
        origen="maestro",
        ventas_hasta=ventas_hasta,
        ventas_topico=ventas_topico,
    )


def correction(maestro_id: UUID, insumo: str, cantidad: int) -> Correccion:
    return Correccion(uuid4(), maestro_id, insumo, cantidad, "se derramó")


def inventario_has_counted(offset: int, partition: int = 0, topic_uuid: str = TOPIC_ID) -> None:
    """Store that `inventario` has applied all sales of a partition before `offset`."""
    ConsumerOffset.objects.update_or_create(
        consumer=INVENTARIO,
        topic=TOPICO_DE_VENTAS,
        partition=partition,
        defaults={"next_offset": offset, "topic_uuid": topic_uuid},
    )


def stock_of(maestro_id: UUID) -> dict[str, int]:
    """Return the totals, below zero too."""
    return dict(Existencia.objects.filter(carro=maestro_id).values_list("insumo_id", "cantidad"))


def ledger_of(maestro_id: UUID) -> dict[str, int]:
    """Return the sums of the ledger's lines."""
    sums: Counter[str] = Counter()
    for line in Movimiento.objects.filter(carro=maestro_id):
        sums.update(line.insumos)
    return dict(sums)


def assert_restocks_fill_to_capacity() -> None:
    """Check that each restock brings the total to the capacity, in the order of writing."""
    totals: Counter[tuple[UUID, str]] = Counter()
    for line in Movimiento.objects.order_by("id"):
        for code, amount in line.insumos.items():
            totals[line.carro_id, code] += amount
            if line.tipo == Movimiento.Tipo.REPOSICION:
                assert amount > 0
                assert totals[line.carro_id, code] == FULL[code]


def states_of(maestro_id: UUID) -> list[tuple[str, str]]:
    """Return the ingredient and the state of each notice, the oldest first."""
    return list(Aviso.objects.filter(carro=maestro_id).order_by("id").values_list("insumo", "estado"))


def queued(event_type: type[Any]) -> list[Any]:
    """Return the events of a type that wait in the outbox."""
    return [event for event in map(_decoded, OutboxMessage.objects.order_by("id")) if isinstance(event, event_type)]


def _decoded(row: OutboxMessage) -> Event:
    return decode(dict(row.headers), bytes(row.value))


def automatic_notices() -> list[StockAgotado]:
    return queued(StockAgotado)


def restocks() -> list[StockRepuesto]:
    return queued(StockRepuesto)
