"""Open notices are decided: filled at once, left waiting for sales, or unfounded."""

from uuid import UUID, uuid4

import pytest
from pytest_django import DjangoCaptureOnCommitCallbacks

from stock import avisos, consumers
from stock.models import Insumo
from stock.reposicion import Nivel, por_reponer
from tests.stock.carts import (
    FULL,
    automatic_notices,
    inventario_has_counted,
    ledger_of,
    medianos,
    notice,
    restocks,
    sale_of,
    states_of,
    stock_of,
)
from tests.support.sales import NOW

CART = {"mote": Nivel(0, 1_500), "jugo": Nivel(-300, 3_000), "vaso": Nivel(4, 10), "huesillo": Nivel(20, 20)}


@pytest.mark.parametrize(
    ("named", "counted", "missing"),
    [
        ("", False, {"mote": 1_500, "jugo": 3_300}),  # out is out, whatever is still to be counted
        ("", True, {"mote": 1_500, "jugo": 3_300}),
        ("jugo", False, {"jugo": 3_300}),
        ("vaso", False, None),  # sales before the notice may still come
        ("vaso", True, {"vaso": 6}),  # the maestro is believed
        ("huesillo", False, None),
        ("huesillo", True, {}),
        ("canela", True, {}),
    ],
)
def test_what_a_notice_adds(named: str, counted: bool, missing: dict[str, int] | None) -> None:
    assert por_reponer(named, CART, ventas_contadas=counted) == missing


def test_without_a_name_only_what_is_out_is_filled() -> None:
    assert por_reponer("", {"mote": Nivel(1, 1_500)}, ventas_contadas=True) == {}


def test_an_automatic_notice_fills_from_below_zero(rosa: UUID) -> None:
    consumers.descontar_ventas(medianos(rosa, 11))
    consumers.reponer_carros(automatic_notices())
    assert stock_of(rosa) == ledger_of(rosa) == FULL
    assert {state for _, state in states_of(rosa)} == {"atendido"}
    [event] = restocks()
    assert event.insumos == {"mote": 1_650, "huesillo": 22, "jugo": 3_300, "vaso": 11}
    assert event.aviso_id == automatic_notices()[0].aviso_id


def test_a_notice_delivered_twice_fills_once(rosa: UUID) -> None:
    consumers.descontar_ventas(medianos(rosa, 10))
    consumers.reponer_carros(automatic_notices())
    consumers.descontar_ventas(medianos(rosa, 3))
    consumers.reponer_carros(automatic_notices())
    assert stock_of(rosa)["vaso"] == 7
    assert len(restocks()) == 1


def test_a_notice_names_what_is_filled(rosa: UUID) -> None:
    inventario_has_counted(5)
    consumers.descontar_ventas(medianos(rosa, 3))
    consumers.reponer_carros([notice(rosa, "mote", "vaso", ventas_hasta={0: 5})])
    assert stock_of(rosa) == {"mote": 1_500, "vaso": 10, "huesillo": 14, "jugo": 2_100}


def test_a_notice_served_in_part_stays_open(rosa: UUID) -> None:
    consumers.reponer_carros([notice(rosa, "mote", "vaso", ventas_hasta={0: 9})])
    consumers.descontar_ventas([sale_of(rosa, mote=1_500, vaso=6)])
    [first] = restocks()
    assert first.insumos == {"mote": 1_500}
    consumers.recordar_reposiciones([first])  # our own event, as it comes back from Kafka
    assert ("vaso", "abierto") in states_of(rosa)
    inventario_has_counted(9)
    avisos.revisar(ahora=NOW)
    consumers.recordar_reposiciones(restocks())
    assert [event.insumos for event in restocks()] == [{"mote": 1_500}, {"vaso": 6}]
    assert stock_of(rosa)["vaso"] == 10
    assert {state for _, state in states_of(rosa)} == {"atendido"}


def test_the_last_sale_before_a_notice_decides_it(
    rosa: UUID, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    consumers.descontar_ventas([sale_of(rosa, vaso=6)])
    inventario_has_counted(8, partition=3)
    consumers.reponer_carros([notice(rosa, "vaso", ventas_hasta={0: 0, 3: 9})])
    with django_capture_on_commit_callbacks(execute=True):
        consumers.descontar_ventas(medianos(uuid4(), 1))  # another maestro's sale
    assert ("vaso", "abierto") in states_of(rosa)
    with django_capture_on_commit_callbacks(execute=True):
        consumers.descontar_ventas(medianos(uuid4(), 1))
        inventario_has_counted(9, partition=3)
    assert stock_of(rosa)["vaso"] == 10


def test_offsets_of_another_topic_do_not_decide(rosa: UUID) -> None:
    """`inventario` has not begun with the topic that was made again; its old offset is larger."""
    inventario_has_counted(9, topic_uuid="the old one")
    consumers.reponer_carros([notice(rosa, ventas_hasta={0: 3}, ventas_topico="the new one")])
    assert states_of(rosa) == [("", "abierto")]
    inventario_has_counted(3, topic_uuid="the new one")
    avisos.revisar(ahora=NOW)
    assert states_of(rosa) == [("", "infundado")]


def test_a_notice_stored_after_the_last_sale_is_decided(
    rosa: UUID, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    consumers.descontar_ventas([sale_of(rosa, vaso=6)])
    with django_capture_on_commit_callbacks(execute=True):
        consumers.reponer_carros([notice(rosa, "vaso", ventas_hasta={3: 9})])
        # Counted after `distribuidores` read the offsets and before it commits.
        inventario_has_counted(9, partition=3)
    assert stock_of(rosa)["vaso"] == 10


def test_a_notice_of_nothing_missing_is_unfounded(rosa: UUID) -> None:
    inventario_has_counted(5)
    consumers.reponer_carros([notice(rosa, "mote", ventas_hasta={0: 6}), notice(rosa, ventas_hasta={0: 5})])
    assert states_of(rosa) == [("mote", "abierto"), ("", "infundado")]
    inventario_has_counted(6)
    avisos.revisar(ahora=NOW)
    assert states_of(rosa) == [("mote", "infundado"), ("", "infundado")]
    assert not restocks()
    assert stock_of(rosa) == FULL


def test_a_restock_fills_to_the_capacity_of_today(rosa: UUID) -> None:
    consumers.descontar_ventas(medianos(rosa, 10))
    Insumo.objects.filter(codigo="vaso").update(capacidad=50)
    consumers.reponer_carros(automatic_notices())
    assert stock_of(rosa) == FULL | {"vaso": 50}
