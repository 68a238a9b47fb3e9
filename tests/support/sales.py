"""Sales, voids and accounts: as the API publishes them, and as rows of the ledger."""

from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID, uuid4

from django.db import transaction

from deploy.embedded.waiting import wait_until
from kafka_bridge.brokers import topic_admin
from kafka_bridge.events.codec import encode
from kafka_bridge.publishing.producer import process_producer
from ventas import libro
from ventas.events import VentaAnulada, VentaRegistrada
from ventas.models import Cuenta, Semana
from ventas.semanas import cierre

NOW = datetime(2026, 11, 18, 15, 0, tzinfo=UTC)  # Wednesday of 2026-W47 in Chile
W46, W47, W48 = date(2026, 11, 9), date(2026, 11, 16), date(2026, 11, 23)
AFTER_W47 = datetime(2026, 11, 25, 15, 0, tzinfo=UTC)
MEDIANO = {"mote": 150, "huesillo": 2, "jugo": 300, "vaso": 1}  # g, pieces, ml, pieces


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


def enter(*events: VentaRegistrada | VentaAnulada) -> None:
    """Enter sales and voids in the ledger in one transaction, as the consumer does with a batch."""
    with transaction.atomic():
        if sales := [event for event in events if isinstance(event, VentaRegistrada)]:
            libro.registrar(sales)
        if voids := [event for event in events if isinstance(event, VentaAnulada)]:
            libro.anular(voids)


def close(lunes: date, ahora: datetime = AFTER_W47) -> None:
    """Close a week with all that the ledger has, without asking Kafka."""
    Semana.objects.bulk_create([Semana.nueva(lunes)], ignore_conflicts=True)
    cierre.contabilizar(lunes, ahora=ahora)


def account(nombre: str = "Rosa Ñáñez", **fields: Any) -> Cuenta:
    """Add the account of another maestro, opened at NOW; `fields` replace its own."""
    values = {"maestro_id": uuid4(), "email": f"{uuid4()}@example.cl", "abierta_en": NOW, **fields}
    return Cuenta.objects.create(nombre=nombre, **values)


def prepare_topics() -> None:
    """Create the topics and wait until Kafka acknowledges a sale.

    A broker's first acknowledgement may take longer than a request waits.
    """
    topic_admin.create_topics(topic_admin.declared_topics())
    first = encode(sale(UUID(int=0)))
    wait_until(lambda: not process_producer().send([first]), 30)
