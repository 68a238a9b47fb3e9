"""What the tests of stock say often: events, and what the database then holds."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from inscripciones.events import InscripcionAprobada
from kafka_bridge.events.codec import decode
from kafka_bridge.events.event import Event
from kafka_bridge.models import ConsumerOffset, OutboxMessage
from stock import reposicion
from stock.events import StockAgotado, StockRepuesto
from stock.inventario import Correccion
from stock.models import Aviso, Existencia, Movimiento
from ventas.events import VentaAnulada, VentaRegistrada

AHORA = datetime(2026, 11, 23, 15, 0, tzinfo=UTC)
MEDIANO = {"mote": 150, "huesillo": 2, "jugo": 300, "vaso": 1}
LLENO = {"mote": 1_500, "huesillo": 20, "jugo": 3_000, "vaso": 10}


def aprobada(maestro_id: UUID, nombre: str = "Rosa Ñáñez") -> InscripcionAprobada:
    return InscripcionAprobada(
        id=InscripcionAprobada.derive_id(maestro_id),
        time=AHORA,
        inscripcion_id=uuid4(),
        maestro_id=maestro_id,
        nombre=nombre,
        email="rosa@example.cl",
        aprobada_en=AHORA - timedelta(days=1),
    )


def venta(maestro_id: UUID, vendida_en: datetime = AHORA, **insumos: int) -> VentaRegistrada:
    venta_id = uuid4()
    return VentaRegistrada(
        id=VentaRegistrada.derive_id(maestro_id, venta_id),
        time=AHORA,
        venta_id=venta_id,
        maestro_id=maestro_id,
        producto="mediano",
        cantidad=1,
        precio_unitario=2_000,
        costo_unitario=610,
        insumos=insumos or MEDIANO,
        vendida_en=vendida_en,
    )


def medianos(maestro_id: UUID, cuantos: int) -> list[VentaRegistrada]:
    return [venta(maestro_id) for _ in range(cuantos)]


def anulada(de: VentaRegistrada) -> VentaAnulada:
    return VentaAnulada(
        id=VentaAnulada.derive_id(de.venta_id), time=AHORA, venta_id=de.venta_id, maestro_id=de.maestro_id
    )


def aviso(maestro_id: UUID, *insumos: str, ventas_hasta: dict[int, int] | None = None) -> StockAgotado:
    aviso_id = uuid4()
    return StockAgotado(
        id=StockAgotado.derive_id(aviso_id),
        time=AHORA,
        aviso_id=aviso_id,
        maestro_id=maestro_id,
        insumos=list(insumos),
        origen="maestro",
        ventas_hasta=ventas_hasta,
    )


def correccion(maestro_id: UUID, insumo: str, cantidad: int) -> Correccion:
    return Correccion(uuid4(), maestro_id, insumo, cantidad, "se derramó")


def stock(maestro_id: UUID) -> dict[str, int]:
    """The totals as they are, below zero too."""
    return dict(Existencia.objects.filter(carro=maestro_id).values_list("insumo_id", "cantidad"))


def libro(maestro_id: UUID) -> dict[str, int]:
    """The sums of the ledger."""
    sumas: Counter[str] = Counter()
    for movimiento in Movimiento.objects.filter(carro=maestro_id):
        sumas.update(movimiento.insumos)
    return dict(sumas)


def restocks_fill_to_capacity() -> None:
    """In the order of writing, each restock brings the total to the capacity: neither more nor less."""
    totals: Counter[tuple[UUID, str]] = Counter()
    for line in Movimiento.objects.order_by("id"):
        for code, amount in line.insumos.items():
            totals[line.carro_id, code] += amount
            if line.tipo == Movimiento.Tipo.REPOSICION:
                assert amount > 0
                assert totals[line.carro_id, code] == LLENO[code]


def estados(maestro_id: UUID) -> list[tuple[str, str]]:
    """Each notice's ingredient and state, oldest first."""
    return list(Aviso.objects.filter(carro=maestro_id).order_by("id").values_list("insumo", "estado"))


def por_publicar(tipo: type[Any]) -> list[Any]:
    """The events of a type that wait in the outbox."""
    return [evento for evento in map(_evento, OutboxMessage.objects.order_by("id")) if isinstance(evento, tipo)]


def _evento(fila: OutboxMessage) -> Event:
    return decode(dict(fila.headers), bytes(fila.value))


def automaticos() -> list[StockAgotado]:
    return por_publicar(StockAgotado)


def repuestos() -> list[StockRepuesto]:
    return por_publicar(StockRepuesto)


def inventario_va_en(offset: int, partition: int = 0) -> None:
    """As the runner notes it: `inventario` has applied all of a partition of sales before `offset`."""
    ConsumerOffset.objects.update_or_create(
        consumer=reposicion.INVENTARIO,
        topic=reposicion.TOPICO_DE_VENTAS,
        partition=partition,
        defaults={"next_offset": offset, "topic_uuid": "tests"},
    )
