"""A catalogue, maestros and their sales."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from rest_framework.test import APIClient

from deploy.embedded.waiting import wait_until
from inscripciones.models import Usuario
from kafka_bridge.brokers import topic_admin
from kafka_bridge.consuming.handlers import consumers
from kafka_bridge.consuming.runner import Runner
from kafka_bridge.events.codec import encode
from kafka_bridge.publishing.producer import process_producer
from ventas import seed
from ventas.api import catalogo
from ventas.events import VentaAnulada, VentaRegistrada
from ventas.models import Cuenta

AHORA = datetime(2026, 11, 18, 15, 0, tzinfo=UTC)  # Wednesday of 2026-W47 in Chile
SECONDS = 30.0  # a deadline for conditions
MEDIANO = {"producto": "mediano", "precio_unitario": 2_000, "costo_unitario": 610}


@pytest.fixture(scope="session")
def topics(kafka: str) -> None:
    """The topics on a broker that is warm: its first acknowledgement may take longer than a request waits."""
    topic_admin.create_topics(topic_admin.declared_topics())
    aviso = encode(venta(UUID(int=0)))
    wait_until(lambda: not process_producer().deliver([aviso]), 30)


@pytest.fixture
def con_catalogo(db: None) -> Iterator[None]:
    seed.sembrar_catalogo()
    catalogo.olvidar()
    yield
    catalogo.olvidar()


@pytest.fixture
def maestro_id() -> UUID:
    return uuid4()


@pytest.fixture
def api(con_catalogo: None, maestro_id: UUID) -> APIClient:
    return cliente(maestro_id)


def cliente(maestro_id: UUID) -> APIClient:
    """An HTTP client that is logged in as that maestro."""
    client = APIClient()
    client.force_authenticate(Usuario.objects.create_user(username=str(maestro_id), maestro_id=maestro_id))
    return client


def venta(maestro_id: UUID, **campos: Any) -> VentaRegistrada:
    """One mediano sold at AHORA, unless said otherwise."""
    venta_id = campos.pop("venta_id", None) or uuid4()
    datos = {**MEDIANO, "cantidad": 1, "vendida_en": AHORA, "time": AHORA, "insumos": {}, **campos}
    id_ = VentaRegistrada.derive_id(maestro_id, venta_id)
    return VentaRegistrada(id=id_, venta_id=venta_id, maestro_id=maestro_id, **datos)


def anulacion(de: VentaRegistrada, time: datetime = AHORA) -> VentaAnulada:
    """The void of a sale."""
    id_ = VentaAnulada.derive_id(de.maestro_id, de.venta_id)
    return VentaAnulada(id=id_, time=time, venta_id=de.venta_id, maestro_id=de.maestro_id)


@pytest.fixture
def cuenta(db: None) -> Callable[..., Cuenta]:
    def abrir(nombre: str = "Rosa Ñáñez", **campos: Any) -> Cuenta:
        datos = {"maestro_id": uuid4(), "email": f"{uuid4()}@example.cl", "abierta_en": AHORA, **campos}
        return Cuenta.objects.create(nombre=nombre, **datos)

    return abrir


@contextmanager
def contabilidad_corriendo() -> Iterator[None]:
    """The consumer, as `run_consumer contabilidad` runs it."""
    runner = Runner(consumers["contabilidad"], stop=threading.Event(), group=f"contabilidad-{uuid4()}")
    thread = threading.Thread(target=runner.run)
    thread.start()
    try:
        yield
    finally:
        runner.stop.set()
        thread.join(SECONDS)
