"""After a restore: what Kafka has of the time before is written, and nothing is decided again."""

from datetime import timedelta
from uuid import UUID, uuid4

import msgspec
import pytest
from pytest_django import DjangoCaptureOnCommitCallbacks

from kafka_bridge.models import Restore
from stock import avisos, consumers
from stock.events import StockAgotado
from tests.stock.carts import (
    FULL,
    approval,
    automatic_notices,
    inventario_has_counted,
    medianos,
    notice,
    restocks,
    states_of,
    stock_of,
)
from tests.support.sales import NOW, void_of

LATER = NOW + timedelta(hours=1)


@pytest.fixture(autouse=True)
def restored(db: None) -> None:
    Restore.objects.create(restored_at=NOW + timedelta(minutes=5))


def test_replayed_sales_and_notices_restock_nothing(rosa: UUID) -> None:
    consumers.descontar_ventas(medianos(rosa, 15))
    consumers.reponer_carros([notice(rosa)])
    assert (automatic_notices(), restocks()) == ([], [])


def test_an_approval_that_comes_twice_raises_no_notice(db: None) -> None:
    """The replayed form publishes its approval again, beside the one that Kafka has."""
    maestro_id = uuid4()
    consumers.descontar_ventas(medianos(maestro_id, 12))
    replayed = approval(maestro_id)
    consumers.abrir_carros([replayed, msgspec.structs.replace(replayed, time=LATER)])
    assert automatic_notices() == []


def test_one_batch_may_hold_replayed_and_new_notices(rosa: UUID) -> None:
    """A restock that comes back and one that is decided again would fill the cart twice."""
    another = uuid4()
    consumers.abrir_carros([approval(another)])
    consumers.descontar_ventas([*medianos(rosa, 15), *medianos(another, 15)])
    new = _later(notice(another))
    consumers.reponer_carros([notice(rosa), new])
    assert restocks() == []

    avisos.revisar(ahora=LATER)  # the sweep, once all is replayed
    assert {(repuesto.maestro_id, repuesto.aviso_id) for repuesto in restocks()} >= {(another, new.aviso_id)}
    assert stock_of(another) == FULL


def test_one_batch_may_hold_replayed_and_new_voids(
    rosa: UUID, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    """What waits may have been decided before the restore. New voids alone decide it."""
    sold = medianos(rosa, 6)
    consumers.descontar_ventas(sold)
    consumers.reponer_carros([notice(rosa, "vaso", ventas_hasta={0: 6})])
    inventario_has_counted(6)
    with django_capture_on_commit_callbacks(execute=True):
        consumers.devolver_anuladas([void_of(sold[0]), void_of(sold[1], time=LATER)])
    assert (restocks(), states_of(rosa)) == ([], [("vaso", "abierto")])
    assert stock_of(rosa)["vaso"] == 6

    with django_capture_on_commit_callbacks(execute=True):
        consumers.devolver_anuladas([void_of(sold[2], time=LATER)])
    assert [repuesto.insumos for repuesto in restocks()] == [{"vaso": 3}]


def test_new_notices_are_decided_at_once(rosa: UUID) -> None:
    consumers.descontar_ventas(medianos(rosa, 15))
    consumers.reponer_carros([_later(notice(rosa))])
    assert stock_of(rosa) == FULL


def _later(aviso: StockAgotado) -> StockAgotado:
    return msgspec.structs.replace(aviso, time=LATER)
