"""`inventario` and `distribuidores` work on the same carts at once, as two processes do."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from random import Random
from unittest.mock import patch
from uuid import UUID, uuid4

import pytest
from django.db import OperationalError, connection, transaction
from django.utils import timezone

from kafka_bridge.consuming import progress
from kafka_bridge.consuming.progress import TopicEnds
from kafka_bridge.events.event import Event
from kafka_bridge.publishing import publish, relay
from stock import avisos, consumers
from stock.models import Aviso, Movimiento
from stock.names import DISTRIBUIDORES, INVENTARIO
from tests.stack import wait_until
from tests.stock.carts import (
    FULL,
    TOPIC_ID,
    approval,
    assert_restocks_fill_to_capacity,
    automatic_notices,
    inventario_has_counted,
    ledger_of,
    medianos,
    notice,
    restocks,
    sale_of,
    stock_of,
)
from tests.support.consumers import consumer, running

SECONDS = 60.0


@pytest.fixture
def maestros(transactional_db: None) -> list[UUID]:
    """Return three maestros whose open carts are visible to other connections."""
    ids = [uuid4() for _ in range(3)]
    with transaction.atomic():
        consumers.abrir_carros([approval(maestro_id) for maestro_id in ids])
    return ids


def test_a_connection_lost_after_the_commit_is_logged(maestros: list[UUID], caplog: pytest.LogCaptureFixture) -> None:
    """The batch is done, so the consumer goes on; the sweep decides what was not decided."""
    with transaction.atomic():
        transaction.on_commit(_lose_the_connection, robust=True)
        consumers.descontar_ventas(medianos(maestros[0], 1))
    assert [record.message for record in caplog.records if "decidir" in record.message]
    connection.close()
    assert stock_of(maestros[0])["mote"] == FULL["mote"] - 150


def _lose_the_connection() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")


@pytest.mark.slow
def test_sales_and_restocks_neither_deadlock_nor_lose(maestros: list[UUID]) -> None:
    chance = Random(7)
    sales: list[list[Event]] = [
        [sale_of(maestro_id) for maestro_id in chance.choices(maestros, k=8)] for _ in range(40)
    ]
    ready = threading.Barrier(4)
    with running(
        partial(_consume, sales[:20], consumers.descontar_ventas, ready),
        partial(_consume, sales[20:], consumers.descontar_ventas, ready),  # another member of the group
        partial(_consume, _notices(maestros, chance), consumers.reponer_carros, ready),
        partial(_consume, _notices(maestros, chance), consumers.reponer_carros, ready),
    ):
        pass
    sold = sum(len(batch) for batch in sales)
    assert Movimiento.objects.filter(tipo="venta").count() == sold
    assert_restocks_fill_to_capacity()
    _settle()
    assert_restocks_fill_to_capacity()
    assert not Aviso.objects.filter(estado=Aviso.Estado.ABIERTO).exists()
    for maestro_id in maestros:
        assert stock_of(maestro_id) == ledger_of(maestro_id)
        assert all(total > 0 for total in stock_of(maestro_id).values())


def test_a_restock_that_the_ledger_has_waits_for_no_cart(maestros: list[UUID]) -> None:
    """A batch of notices and restocks locks carts once; a second time could deadlock."""
    rosa = maestros[0]
    with transaction.atomic():
        consumers.descontar_ventas(medianos(rosa, 10))
        consumers.reponer_carros(automatic_notices())
    with _held_by_another(rosa), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL lock_timeout = '1s'")
        with pytest.raises(OperationalError, match="lock timeout"), transaction.atomic():
            consumers.reponer_carros([notice(rosa)])
        consumers.recordar_reposiciones(restocks())


@contextmanager
def _held_by_another(maestro_id: UUID) -> Iterator[None]:
    """Lock the cart in a transaction of another connection."""
    other = connection.copy()
    try:
        other.set_autocommit(False)
        with other.cursor() as cursor:
            cursor.execute("SELECT FROM stock_carro WHERE maestro_id = %s FOR UPDATE", [maestro_id])
        yield
        other.rollback()
    finally:
        other.close()


def _consume(
    batches: list[list[Event]], handler: Callable[..., None], ready: threading.Barrier, _stop: threading.Event
) -> None:
    """Handle all the batches, each in a transaction, once all threads are ready."""
    ready.wait(SECONDS)
    for batch in batches:
        with transaction.atomic():
            handler(batch)


def _notices(maestros: list[UUID], chance: Random) -> list[list[Event]]:
    return [
        [
            notice(maestro_id, *chance.sample(sorted(FULL), chance.randint(0, 2)))
            for maestro_id in chance.choices(maestros, k=4)
        ]
        for _ in range(20)
    ]


def _settle() -> None:
    """Let the sweep see that all sales are counted, and the distributors serve its notices."""
    inventario_has_counted(1)
    with patch.object(progress, "topic_ends", lambda _topic, timeout: TopicEnds(TOPIC_ID, {0: 1})):
        avisos.revisar(ahora=timezone.now())
    with transaction.atomic():
        consumers.reponer_carros(automatic_notices())


def test_many_notices_at_once_fill_a_cart_once(maestros: list[UUID]) -> None:
    rosa = maestros[0]
    for _ in range(10):
        with transaction.atomic():
            consumers.descontar_ventas(medianos(rosa, 9))
        ready = threading.Barrier(4)
        with running(
            partial(_consume, [[sale_of(rosa)]], consumers.descontar_ventas, ready),
            *(partial(_consume, [[notice(rosa)]], consumers.reponer_carros, ready) for _ in range(3)),
        ):
            pass
        with transaction.atomic():
            consumers.reponer_carros(automatic_notices())
        assert stock_of(rosa) == FULL
    assert Movimiento.objects.filter(tipo="reposicion").count() == 10


@pytest.mark.slow
@pytest.mark.usefixtures("topics", "from_the_topics_ends")
def test_a_cart_is_filled_through_kafka(maestros: list[UUID]) -> None:
    rosa, other, _ = maestros
    with running(consumer(INVENTARIO, own_group=True), consumer(DISTRIBUIDORES, own_group=True), relay.run):
        publish(*medianos(rosa, 10), *medianos(other, 9))
        wait_until(lambda: stock_of(rosa) == FULL and stock_of(other)["vaso"] == 1, SECONDS)
        publish(sale_of(other), avisos.aviso_de_maestro(uuid4(), other, []))
        wait_until(lambda: stock_of(other) == FULL, SECONDS)
        avisos.avisar(uuid4(), rosa, ["mote"])
        notices = Aviso.objects.filter(carro__in=maestros)
        wait_until(lambda: notices.filter(carro=rosa, estado="infundado").exists() or _swept(), SECONDS)
        wait_until(lambda: not notices.filter(estado="abierto").exists() or _swept(), SECONDS)
    assert stock_of(rosa) == ledger_of(rosa) == FULL
    assert Movimiento.objects.filter(carro=other, tipo="reposicion").count() == 1


def _swept() -> bool:
    avisos.revisar(ahora=timezone.now())
    return False
