"""`inventario` and `distribuidores` on the same carts at once, as processes of their own would be."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from random import Random
from unittest.mock import patch
from uuid import UUID, uuid4

import pytest
from django.apps import apps
from django.db import connection, transaction
from django.utils import timezone

from kafka_bridge.consuming import progress
from kafka_bridge.consuming.handlers import consumers as declared
from kafka_bridge.consuming.runner import Runner
from kafka_bridge.events.event import Event
from kafka_bridge.publishing import relay
from kafka_bridge.publishing.producer import publish
from stock import consumers, reposicion, seed
from stock.models import Aviso, Movimiento
from tests.stack import wait_until
from tests.stock.guion import (
    LLENO,
    aprobada,
    automaticos,
    aviso,
    inventario_va_en,
    libro,
    medianos,
    restocks_fill_to_capacity,
    stock,
    venta,
)

SECONDS = 30.0


@pytest.fixture
def maestros(transactional_db: None) -> list[UUID]:
    """Three open carts, visible to other connections."""
    seed.sembrar(apps)
    ids = [uuid4() for _ in range(3)]
    with transaction.atomic():
        consumers.abrir_carros([aprobada(maestro_id) for maestro_id in ids])
    return ids


def test_a_database_that_goes_right_after_the_commit_does_not_end_the_consumer(
    maestros: list[UUID], caplog: pytest.LogCaptureFixture
) -> None:
    """The batch is done; what would have been decided then is the sweep's."""
    with transaction.atomic():
        transaction.on_commit(_lose_the_connection, robust=True)
        consumers.descontar_ventas(medianos(maestros[0], 1))
    assert [record.message for record in caplog.records if "decidir" in record.message]
    connection.close()
    assert stock(maestros[0])["mote"] == LLENO["mote"] - 150


def _lose_the_connection() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")


@contextmanager
def _together(*jobs: Callable[[], None]) -> Iterator[None]:
    """Runs jobs in threads with connections of their own; what one raises is raised at the end of the block."""
    failures: list[BaseException] = []

    def run(job: Callable[[], None]) -> None:
        try:
            job()
        except BaseException as error:  # noqa: BLE001 - raised below
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=[job]) for job in jobs]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        for thread in threads:
            thread.join(SECONDS)
    if failures:
        raise failures[0]


def _consume(batches: list[list[Event]], handler: Callable[..., None], ready: threading.Barrier) -> None:
    ready.wait(SECONDS)
    for batch in batches:
        with transaction.atomic():
            handler(batch)


def test_sales_and_restocks_of_the_same_carts_neither_deadlock_nor_lose(maestros: list[UUID]) -> None:
    chance = Random(7)
    sales: list[list[Event]] = [[venta(maestro_id) for maestro_id in chance.choices(maestros, k=8)] for _ in range(40)]
    ready = threading.Barrier(4)
    jobs = [
        partial(_consume, sales[:20], consumers.descontar_ventas, ready),
        partial(_consume, sales[20:], consumers.descontar_ventas, ready),  # another member of the group
        *(partial(_consume, _notices(maestros, chance), consumers.reponer_carros, ready) for _ in range(2)),
    ]
    with _together(*jobs):
        pass
    sold = sum(len(batch) for batch in sales)
    assert Movimiento.objects.filter(tipo="venta").count() == sold
    restocks_fill_to_capacity()
    _settle()
    restocks_fill_to_capacity()
    assert not Aviso.objects.filter(estado=Aviso.Estado.ABIERTO).exists()
    for maestro_id in maestros:
        assert stock(maestro_id) == libro(maestro_id)
        assert all(total > 0 for total in stock(maestro_id).values())


def _settle() -> None:
    """`inventario` is known to have counted all; the sweep and the distributors do the rest."""
    inventario_va_en(1)
    with patch.object(progress, "end_offsets", lambda _topic, timeout: {0: 1}):
        reposicion.revisar(ahora=timezone.now())
    with transaction.atomic():
        consumers.reponer_carros(automaticos())


def _notices(maestros: list[UUID], chance: Random) -> list[list[Event]]:
    return [
        [
            aviso(maestro_id, *chance.sample(sorted(LLENO), chance.randint(0, 2)))
            for maestro_id in chance.choices(maestros, k=4)
        ]
        for _ in range(20)
    ]


def test_a_cart_that_runs_out_is_filled_once_however_many_say_so_at_once(maestros: list[UUID]) -> None:
    rosa = maestros[0]
    for _ in range(10):
        with transaction.atomic():
            consumers.descontar_ventas(medianos(rosa, 9))
        ready = threading.Barrier(4)
        last: list[list[Event]] = [[venta(rosa)]]
        jobs = [
            partial(_consume, last, consumers.descontar_ventas, ready),
            *(partial(_consume, [[aviso(rosa)]], consumers.reponer_carros, ready) for _ in range(3)),
        ]
        with _together(*jobs):
            pass
        with transaction.atomic():
            consumers.reponer_carros(automaticos())
        assert stock(rosa) == LLENO
    assert Movimiento.objects.filter(tipo="reposicion").count() == 10


@contextmanager
def _the_whole_line() -> Iterator[None]:
    """Both consumers and the relay, as `manage.py` runs them."""
    stop = threading.Event()
    runners = [
        Runner(declared[name], stop=stop, group=f"{name}-{uuid4()}") for name in ("inventario", "distribuidores")
    ]
    with _together(*(runner.run for runner in runners), partial(relay.run, stop)):
        try:
            yield
        finally:
            stop.set()


def test_from_the_tenth_sale_to_a_full_cart_through_kafka(topics: None, maestros: list[UUID]) -> None:
    rosa, otra, _ = maestros
    with _the_whole_line():
        publish(*medianos(rosa, 10), *medianos(otra, 9))
        wait_until(lambda: stock(rosa) == LLENO and stock(otra)["vaso"] == 1, SECONDS)
        publish(venta(otra), reposicion.aviso_de_maestro(uuid4(), otra, []))
        wait_until(lambda: stock(otra) == LLENO, SECONDS)
        publish(reposicion.aviso_de_maestro(uuid4(), rosa, ["mote"]))
        suyos = Aviso.objects.filter(carro__in=maestros)
        wait_until(lambda: suyos.filter(carro=rosa, estado="infundado").exists() or _swept(), SECONDS)
        wait_until(lambda: not suyos.filter(estado="abierto").exists() or _swept(), SECONDS)
    assert stock(rosa) == libro(rosa) == LLENO
    assert Movimiento.objects.filter(carro=otra, tipo="reposicion").count() == 1


def _swept() -> bool:
    reposicion.revisar(ahora=timezone.now())
    return False
