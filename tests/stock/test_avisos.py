"""Notices are raised by maestros, by sales and by the sweep, and stored once."""

from uuid import UUID, uuid4

import pytest
from django.test import Client

from kafka_bridge.consuming import progress
from kafka_bridge.consuming.progress import TopicEnds
from kafka_bridge.exceptions import KafkaUnavailable
from stock import avisos, consumers
from stock.models import Aviso, Movimiento
from stock.names import TOPICO_DE_VENTAS
from tests.stock.carts import (
    FULL,
    TOPIC_ID,
    approval,
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
from ventas.events import VENTAS


def test_the_topic_is_the_one_of_sales() -> None:
    assert VENTAS.name == TOPICO_DE_VENTAS


def test_a_sale_that_empties_raises_one_notice(rosa: UUID) -> None:
    consumers.descontar_ventas([sale_of(rosa, mote=1_500, vaso=10), sale_of(rosa, vaso=1)])
    [event] = automatic_notices()
    assert (event.maestro_id, event.insumos, event.origen) == (rosa, ["mote", "vaso"], "automatico")
    assert states_of(rosa) == [("mote", "abierto"), ("vaso", "abierto")]
    consumers.descontar_ventas(medianos(rosa, 1))  # sold all the same: the notice is open already
    assert len(automatic_notices()) == 1


def test_a_cart_that_opens_empty_is_noticed(db: None) -> None:
    maestro_id = uuid4()
    consumers.descontar_ventas(medianos(maestro_id, 12))
    consumers.abrir_carros([approval(maestro_id)])
    assert [event.insumos for event in automatic_notices()] == [["huesillo", "jugo", "mote", "vaso"]]


def test_an_unknown_ingredient_is_counted_not_noticed(rosa: UUID) -> None:
    consumers.descontar_ventas([sale_of(rosa, canela=3)])
    assert ledger_of(rosa)["canela"] == -3
    assert not automatic_notices()


def test_a_new_ingredient_comes_to_every_open_cart(rosa: UUID, admin_client: Client) -> None:
    new = {"codigo": "canela", "nombre": "Canela", "unidad": "g", "capacidad": "50"}
    assert admin_client.post("/admin/stock/insumo/add/", new).status_code == 302
    avisos.revisar(ahora=NOW)
    assert [event.insumos for event in automatic_notices()] == [["canela"]]
    consumers.reponer_carros(automatic_notices())
    assert stock_of(rosa) == ledger_of(rosa) == FULL | {"canela": 50}


def test_a_sale_serves_the_open_notice_of_a_maestro(rosa: UUID) -> None:
    consumers.descontar_ventas(medianos(rosa, 9))
    consumers.reponer_carros([notice(rosa)])  # it overtook the tenth sale
    assert states_of(rosa) == [("", "abierto")]
    consumers.descontar_ventas(medianos(rosa, 1))
    assert stock_of(rosa) == FULL
    assert states_of(rosa) == [("", "atendido")]
    assert not automatic_notices()
    assert [event.insumos for event in restocks()] == [FULL]


def test_notices_of_both_sides_fill_once(rosa: UUID) -> None:
    consumers.descontar_ventas(medianos(rosa, 10))
    consumers.reponer_carros([notice(rosa), *automatic_notices(), notice(rosa, "mote")])
    assert stock_of(rosa) == FULL
    assert Movimiento.objects.filter(tipo="reposicion").count() == 1
    assert not Aviso.objects.filter(estado="abierto").exists()
    assert sorted(states_of(rosa)) == [
        ("", "atendido"),
        ("huesillo", "atendido"),
        ("jugo", "atendido"),
        ("mote", "atendido"),
        ("mote", "repetido"),
        ("vaso", "atendido"),
    ]


def test_a_repeated_notice_makes_the_open_one_wait(rosa: UUID) -> None:
    consumers.reponer_carros([notice(rosa, "mote", ventas_hasta={0: 5}), notice(rosa, "mote", ventas_hasta={0: 9})])
    assert states_of(rosa) == [("mote", "abierto"), ("mote", "repetido")]
    inventario_has_counted(8)
    avisos.revisar(ahora=NOW)
    assert ("mote", "abierto") in states_of(rosa)
    consumers.descontar_ventas([sale_of(rosa, mote=20)])
    inventario_has_counted(9)
    avisos.revisar(ahora=NOW)
    assert states_of(rosa) == [("mote", "atendido"), ("mote", "repetido")]
    assert stock_of(rosa) == FULL


def test_a_repeated_notice_never_shortens_the_wait(rosa: UUID) -> None:
    consumers.reponer_carros([notice(rosa, "mote", ventas_hasta={0: 9, 1: 3})])
    consumers.reponer_carros(
        [notice(rosa, "mote", ventas_hasta={0: 5, 1: 7}), notice(rosa, "mote", ventas_hasta={0: 6, 2: 1})]
    )
    assert Aviso.objects.get(estado="abierto").ventas_hasta == {"0": 9, "1": 7, "2": 1}
    consumers.reponer_carros([notice(rosa, "mote")])
    assert Aviso.objects.get(estado="abierto").ventas_hasta is None  # the sweep asks where the sales end


def test_a_notice_waits_for_its_cart_to_open(db: None) -> None:
    maestro_id = uuid4()
    consumers.reponer_carros([notice(maestro_id, ventas_hasta={0: 0})])
    assert states_of(maestro_id) == [("", "abierto")]
    consumers.abrir_carros([approval(maestro_id)])
    assert stock_of(maestro_id) == FULL  # the opening load, and no restock on top
    avisos.revisar(ahora=NOW)
    assert not Aviso.objects.filter(estado="abierto").exists()
    assert stock_of(maestro_id) == FULL


def test_the_sweep_asks_kafka_where_sales_end(rosa: UUID, monkeypatch: pytest.MonkeyPatch) -> None:
    consumers.reponer_carros([notice(rosa, "mote")])
    monkeypatch.setattr(progress, "topic_ends", lambda _topic, timeout: TopicEnds(TOPIC_ID, {0: 7}))
    inventario_has_counted(6)
    avisos.revisar(ahora=NOW)
    assert Aviso.objects.get().ventas_hasta == {"0": 7}
    assert states_of(rosa) == [("mote", "abierto")]
    inventario_has_counted(7)
    avisos.revisar(ahora=NOW)
    assert states_of(rosa) == [("mote", "infundado")]


def test_the_sweep_without_kafka_leaves_the_notice(rosa: UUID, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(_topic: str, timeout: float) -> TopicEnds:
        raise KafkaUnavailable("no broker answers")

    consumers.reponer_carros([notice(rosa, "mote")])
    monkeypatch.setattr(progress, "topic_ends", unreachable)
    avisos.revisar(ahora=NOW)
    assert Aviso.objects.get().ventas_hasta is None
    assert states_of(rosa) == [("mote", "abierto")]


def test_the_sweep_raises_missing_notices(rosa: UUID) -> None:
    consumers.descontar_ventas(medianos(rosa, 10))
    Aviso.objects.all().delete()  # as after a restore that lost them
    avisos.revisar(ahora=NOW)
    assert [event.insumos for event in automatic_notices()] == [sorted(FULL)] * 2
    consumers.reponer_carros(automatic_notices()[1:])
    assert stock_of(rosa) == FULL
