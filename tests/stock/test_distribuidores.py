"""Notices are decided: filled at once, left waiting for the sales before them, or unfounded."""

from uuid import UUID, uuid4

import pytest
from django.test import Client
from pytest_django import DjangoCaptureOnCommitCallbacks

from kafka_bridge.consuming import progress
from kafka_bridge.exceptions import KafkaUnavailable
from stock import consumers, reposicion
from stock.models import Aviso, Insumo, Movimiento
from stock.reposicion import Carga, por_reponer
from tests.stock.guion import (
    AHORA,
    LLENO,
    aprobada,
    automaticos,
    aviso,
    estados,
    inventario_va_en,
    libro,
    medianos,
    repuestos,
    stock,
    venta,
)

CARRO = {"mote": Carga(0, 1_500), "jugo": Carga(-300, 3_000), "vaso": Carga(4, 10), "huesillo": Carga(20, 20)}


@pytest.mark.parametrize(
    ("nombrado", "seguro", "faltan"),
    [
        ("", False, {"mote": 1_500, "jugo": 3_300}),  # out is out, whatever is still to be counted
        ("", True, {"mote": 1_500, "jugo": 3_300}),
        ("jugo", False, {"jugo": 3_300}),
        ("vaso", False, None),  # sales before the notice may still come
        ("vaso", True, {"vaso": 6}),  # the maestro's word stands
        ("huesillo", False, None),
        ("huesillo", True, {}),
        ("canela", True, {}),
    ],
)
def test_what_a_notice_adds(nombrado: str, seguro: bool, faltan: dict[str, int] | None) -> None:
    assert por_reponer(nombrado, CARRO, seguro=seguro) == faltan


def test_without_a_name_only_what_is_out_is_filled() -> None:
    assert por_reponer("", {"mote": Carga(1, 1_500)}, seguro=True) == {}


def test_the_automatic_notice_fills_the_cart_from_below_zero_and_tells(rosa: UUID) -> None:
    consumers.descontar_ventas(medianos(rosa, 11))
    consumers.reponer_carros(automaticos())
    assert stock(rosa) == libro(rosa) == LLENO
    assert {estado for _, estado in estados(rosa)} == {"atendido"}
    [evento] = repuestos()
    assert evento.insumos == {"mote": 1_650, "huesillo": 22, "jugo": 3_300, "vaso": 11}
    assert evento.aviso_id == automaticos()[0].aviso_id


def test_a_notice_delivered_twice_fills_once(rosa: UUID) -> None:
    consumers.descontar_ventas(medianos(rosa, 10))
    consumers.reponer_carros(automaticos())
    consumers.descontar_ventas(medianos(rosa, 3))
    consumers.reponer_carros(automaticos())
    assert stock(rosa)["vaso"] == 7
    assert len(repuestos()) == 1


def test_a_maestro_and_the_system_notice_the_same_and_the_cart_is_filled_once(rosa: UUID) -> None:
    consumers.descontar_ventas(medianos(rosa, 10))
    suyo = aviso(rosa)
    consumers.reponer_carros([suyo, *automaticos(), aviso(rosa, "mote")])
    assert stock(rosa) == LLENO
    assert Movimiento.objects.filter(tipo="reposicion").count() == 1
    assert not Aviso.objects.filter(estado="abierto").exists()
    assert sorted(estados(rosa)) == [
        ("", "atendido"),
        ("huesillo", "atendido"),
        ("jugo", "atendido"),
        ("mote", "atendido"),
        ("mote", "repetido"),
        ("vaso", "atendido"),
    ]


def test_a_notice_names_what_it_wants_filled(rosa: UUID) -> None:
    inventario_va_en(5)
    consumers.descontar_ventas(medianos(rosa, 3))
    consumers.reponer_carros([aviso(rosa, "mote", "vaso", ventas_hasta={0: 5})])
    assert stock(rosa) == {"mote": 1_500, "vaso": 10, "huesillo": 14, "jugo": 2_100}


def test_a_notice_served_in_part_stays_open_for_the_rest(rosa: UUID) -> None:
    consumers.reponer_carros([aviso(rosa, "mote", "vaso", ventas_hasta={0: 9})])
    consumers.descontar_ventas([venta(rosa, mote=1_500, vaso=6)])
    [parte] = repuestos()
    assert parte.insumos == {"mote": 1_500}
    consumers.recordar_reposiciones([parte])  # our own event, as it comes back from Kafka
    assert ("vaso", "abierto") in estados(rosa)
    inventario_va_en(9)
    reposicion.revisar(ahora=AHORA)
    consumers.recordar_reposiciones(repuestos())
    assert [evento.insumos for evento in repuestos()] == [{"mote": 1_500}, {"vaso": 6}]
    assert stock(rosa)["vaso"] == 10
    assert {estado for _, estado in estados(rosa)} == {"atendido"}


def test_a_notice_is_decided_when_the_last_sale_before_it_is_counted(
    rosa: UUID, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    consumers.descontar_ventas([venta(rosa, vaso=6)])
    inventario_va_en(8, partition=3)
    consumers.reponer_carros([aviso(rosa, "vaso", ventas_hasta={0: 0, 3: 9})])
    with django_capture_on_commit_callbacks(execute=True):
        consumers.descontar_ventas(medianos(uuid4(), 1))  # others' sales, which the notice knows nothing of
    assert ("vaso", "abierto") in estados(rosa)
    with django_capture_on_commit_callbacks(execute=True):
        consumers.descontar_ventas(medianos(uuid4(), 1))
        inventario_va_en(9, partition=3)
    assert stock(rosa)["vaso"] == 10


def test_a_notice_that_missed_the_last_sale_is_decided_once_it_is_stored(
    rosa: UUID, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    consumers.descontar_ventas([venta(rosa, vaso=6)])
    with django_capture_on_commit_callbacks(execute=True):
        consumers.reponer_carros([aviso(rosa, "vaso", ventas_hasta={3: 9})])
        inventario_va_en(9, partition=3)  # between the distributor's look and its commit
    assert stock(rosa)["vaso"] == 10


def test_an_ingredient_that_staff_add_is_brought_to_every_open_cart(rosa: UUID, admin_client: Client) -> None:
    nuevo = {"codigo": "canela", "nombre": "Canela", "unidad": "g", "capacidad": "50"}
    assert admin_client.post("/admin/stock/insumo/add/", nuevo).status_code == 302
    reposicion.revisar(ahora=AHORA)
    assert [evento.insumos for evento in automaticos()] == [["canela"]]
    consumers.reponer_carros(automaticos())
    assert stock(rosa) == libro(rosa) == LLENO | {"canela": 50}


def test_a_notice_that_finds_nothing_missing_is_unfounded_when_the_sales_before_it_are_counted(rosa: UUID) -> None:
    inventario_va_en(5)
    consumers.reponer_carros([aviso(rosa, "mote", ventas_hasta={0: 6}), aviso(rosa, ventas_hasta={0: 5})])
    assert estados(rosa) == [("mote", "abierto"), ("", "infundado")]
    inventario_va_en(6)
    reposicion.revisar(ahora=AHORA)
    assert estados(rosa) == [("mote", "infundado"), ("", "infundado")]
    assert not repuestos()
    assert stock(rosa) == LLENO


def test_a_repeated_notice_makes_the_open_one_wait_for_its_sales_too(rosa: UUID) -> None:
    consumers.reponer_carros([aviso(rosa, "mote", ventas_hasta={0: 5}), aviso(rosa, "mote", ventas_hasta={0: 9})])
    assert estados(rosa) == [("mote", "abierto"), ("mote", "repetido")]
    inventario_va_en(8)
    reposicion.revisar(ahora=AHORA)
    assert ("mote", "abierto") in estados(rosa)
    consumers.descontar_ventas([venta(rosa, mote=20)])
    inventario_va_en(9)
    reposicion.revisar(ahora=AHORA)
    assert estados(rosa) == [("mote", "atendido"), ("mote", "repetido")]
    assert stock(rosa) == LLENO


def test_a_repeated_notice_never_makes_the_open_one_wait_for_less(rosa: UUID) -> None:
    consumers.reponer_carros([aviso(rosa, "mote", ventas_hasta={0: 9, 1: 3})])
    consumers.reponer_carros(
        [aviso(rosa, "mote", ventas_hasta={0: 5, 1: 7}), aviso(rosa, "mote", ventas_hasta={0: 6, 2: 1})]
    )
    assert Aviso.objects.get(estado="abierto").ventas_hasta == {"0": 9, "1": 7, "2": 1}
    consumers.reponer_carros([aviso(rosa, "mote")])
    assert Aviso.objects.get(estado="abierto").ventas_hasta is None  # the sweep asks where they end


def test_a_notice_for_a_cart_that_is_not_open_yet_waits_for_it(catalogo: None) -> None:
    maestro_id = uuid4()
    consumers.reponer_carros([aviso(maestro_id, ventas_hasta={0: 0})])
    assert estados(maestro_id) == [("", "abierto")]
    consumers.abrir_carros([aprobada(maestro_id)])
    assert stock(maestro_id) == LLENO  # the opening load, and no restock on top
    reposicion.revisar(ahora=AHORA)
    assert not Aviso.objects.filter(estado="abierto").exists()
    assert stock(maestro_id) == LLENO


def test_the_sweep_asks_kafka_where_sales_end_for_a_notice_that_does_not_know(
    rosa: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    consumers.reponer_carros([aviso(rosa, "mote")])
    monkeypatch.setattr(progress, "end_offsets", lambda _topic, timeout: {0: 7})
    inventario_va_en(6)
    reposicion.revisar(ahora=AHORA)
    assert Aviso.objects.get().ventas_hasta == {"0": 7}
    assert estados(rosa) == [("mote", "abierto")]
    inventario_va_en(7)
    reposicion.revisar(ahora=AHORA)
    assert estados(rosa) == [("mote", "infundado")]


def test_without_kafka_the_sweep_leaves_the_notice_for_the_next_one(
    rosa: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(_topic: str, timeout: float) -> dict[int, int]:
        raise KafkaUnavailable("no broker answers")

    consumers.reponer_carros([aviso(rosa, "mote")])
    monkeypatch.setattr(progress, "end_offsets", unreachable)
    reposicion.revisar(ahora=AHORA)
    assert Aviso.objects.get().ventas_hasta is None
    assert estados(rosa) == [("mote", "abierto")]


def test_the_sweep_notices_what_is_out_and_nobody_noticed(rosa: UUID) -> None:
    consumers.descontar_ventas(medianos(rosa, 10))
    Aviso.objects.all().delete()  # as after a restore that lost them
    reposicion.revisar(ahora=AHORA)
    assert [evento.insumos for evento in automaticos()] == [sorted(LLENO)] * 2
    consumers.reponer_carros(automaticos()[1:])
    assert stock(rosa) == LLENO


def test_a_restock_fills_to_the_capacity_of_today(rosa: UUID) -> None:
    consumers.descontar_ventas(medianos(rosa, 10))
    Insumo.objects.filter(codigo="vaso").update(capacidad=50)
    consumers.reponer_carros(automaticos())
    assert stock(rosa) == LLENO | {"vaso": 50}
