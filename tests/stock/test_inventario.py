"""Sales, voids and openings move a cart's stock through the ledger, each once."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from stock import consumers, inventario, reposicion
from stock.models import Carro, Existencia, Insumo, Movimiento
from tests.stock.guion import (
    AHORA,
    LLENO,
    anulada,
    aprobada,
    automaticos,
    aviso,
    correccion,
    estados,
    libro,
    medianos,
    repuestos,
    stock,
    venta,
)
from ventas.events import VENTAS

Queries = Callable[[int], AbstractContextManager[Any]]


def test_a_cart_opens_with_enough_for_ten_medianos(rosa: UUID) -> None:
    assert stock(rosa) == libro(rosa) == LLENO
    assert Carro.objects.get().nombre == "Rosa Ñáñez"
    consumers.descontar_ventas(medianos(rosa, 10))
    assert set(stock(rosa).values()) == {0}


def test_an_approval_delivered_twice_loads_the_cart_once(rosa: UUID) -> None:
    consumers.abrir_carros([aprobada(rosa), aprobada(rosa)])
    assert stock(rosa) == LLENO


def test_a_sale_takes_what_its_recipe_says_and_its_repetition_nothing(rosa: UUID) -> None:
    una = venta(rosa, mote=100, vaso=1)
    consumers.descontar_ventas([una, una])
    consumers.descontar_ventas([una])
    assert stock(rosa) == libro(rosa) == LLENO | {"mote": 1_400, "vaso": 9}


def test_a_sale_may_come_before_its_cart(catalogo: None) -> None:
    maestro_id = uuid4()
    consumers.descontar_ventas(medianos(maestro_id, 1))
    assert stock(maestro_id)["mote"] == -150
    assert not automaticos()  # no cart yet: nothing to fill
    consumers.abrir_carros([aprobada(maestro_id)])
    assert stock(maestro_id)["mote"] == 1_350


def test_a_cart_that_opens_empty_because_of_early_sales_is_noticed(catalogo: None) -> None:
    maestro_id = uuid4()
    consumers.descontar_ventas(medianos(maestro_id, 12))
    consumers.abrir_carros([aprobada(maestro_id)])
    assert [evento.insumos for evento in automaticos()] == [["huesillo", "jugo", "mote", "vaso"]]


def test_a_void_gives_back_what_its_sale_took(rosa: UUID) -> None:
    ventas = medianos(rosa, 2)
    consumers.descontar_ventas(ventas)
    consumers.devolver_anuladas([anulada(ventas[0]), anulada(ventas[0])])
    consumers.devolver_anuladas([anulada(ventas[0])])
    assert stock(rosa) == libro(rosa)
    assert stock(rosa)["mote"] == 1_350
    assert Movimiento.objects.get(tipo="anulacion").insumos["mote"] == 150


def test_a_void_before_its_sale_is_netted_when_the_sale_comes(rosa: UUID) -> None:
    una = venta(rosa)
    consumers.devolver_anuladas([anulada(una)])
    assert stock(rosa) == LLENO
    consumers.descontar_ventas([una])
    assert stock(rosa) == libro(rosa) == LLENO
    assert Movimiento.objects.filter(referencia=una.venta_id).count() == 2


def test_nobody_voids_the_sale_of_another(rosa: UUID) -> None:
    una = venta(rosa)
    ajena = anulada(venta(uuid4()))
    consumers.descontar_ventas([una])
    consumers.devolver_anuladas(
        [type(ajena)(id=ajena.id, time=AHORA, venta_id=una.venta_id, maestro_id=ajena.maestro_id)]
    )
    assert stock(rosa)["mote"] == 1_350


def test_a_thousand_sales_move_each_total_once_in_as_many_queries_as_one(
    rosa: UUID, django_assert_num_queries: Queries
) -> None:
    Insumo.objects.update(capacidad=10**9)
    inventario.corregir(correccion(rosa, "mote", 10**8), ahora=AHORA)
    for insumo in ("huesillo", "jugo", "vaso"):
        inventario.corregir(correccion(rosa, insumo, 10**8), ahora=AHORA)
    with django_assert_num_queries(8):
        consumers.descontar_ventas(medianos(rosa, 1))
    before = _times_written()
    # History asked after, carts made and locked, lines in their savepoint, totals, voids.
    with django_assert_num_queries(8):
        consumers.descontar_ventas(medianos(rosa, 1_000))
    assert _times_written() - before == len(LLENO)
    assert stock(rosa)["mote"] == 10**8 + 1_500 - 1_001 * 150
    assert Movimiento.objects.filter(carro=rosa, tipo="venta").count() == 1_001


def _times_written() -> int:
    """How many rows of totals this transaction has written, as PostgreSQL counts them."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT n_tup_ins + n_tup_upd FROM pg_stat_xact_user_tables WHERE relname = 'stock_existencia'")
        return int(cursor.fetchone()[0])


def test_the_queries_of_a_batch_that_empties_carts_do_not_grow_with_the_carts(catalogo: None) -> None:
    counts = []
    for carts in (1, 20):
        maestros = [uuid4() for _ in range(carts)]
        consumers.abrir_carros([aprobada(maestro_id) for maestro_id in maestros])
        with CaptureQueriesContext(connection) as queries:
            consumers.descontar_ventas([una for maestro_id in maestros for una in medianos(maestro_id, 10)])
        counts.append(len(queries))
    assert counts[0] == counts[1] <= 13
    assert len(automaticos()) == 21


def test_a_sale_that_empties_ingredients_raises_one_notice_that_names_them(rosa: UUID) -> None:
    consumers.descontar_ventas([venta(rosa, mote=1_500, vaso=10), venta(rosa, vaso=1)])
    [evento] = automaticos()
    assert (evento.maestro_id, evento.insumos, evento.origen) == (rosa, ["mote", "vaso"], "automatico")
    assert estados(rosa) == [("mote", "abierto"), ("vaso", "abierto")]
    consumers.descontar_ventas(medianos(rosa, 1))  # sold all the same: the notice is open already
    assert len(automaticos()) == 1


def test_an_ingredient_that_the_catalogue_lacks_is_counted_and_not_noticed(rosa: UUID) -> None:
    consumers.descontar_ventas([venta(rosa, canela=3)])
    assert libro(rosa)["canela"] == -3
    assert not automaticos()


def test_sales_serve_the_waiting_notice_of_the_maestro_and_raise_no_other(rosa: UUID) -> None:
    consumers.descontar_ventas(medianos(rosa, 9))
    consumers.reponer_carros([aviso(rosa)])  # it overtook the tenth sale
    assert estados(rosa) == [("", "abierto")]
    consumers.descontar_ventas(medianos(rosa, 1))
    assert stock(rosa) == LLENO
    assert estados(rosa) == [("", "atendido")]
    assert not automaticos()
    assert [evento.insumos for evento in repuestos()] == [LLENO]


@pytest.mark.parametrize("cantidad", [-1_500, -2_000])
def test_a_correction_says_why_and_is_noticed_when_it_leaves_nothing(rosa: UUID, cantidad: int) -> None:
    cambio = correccion(rosa, "mote", cantidad)
    inventario.corregir(cambio, ahora=AHORA)
    inventario.corregir(cambio, ahora=AHORA)
    assert stock(rosa) == libro(rosa) == LLENO | {"mote": 1_500 + cantidad}
    assert Movimiento.objects.get(tipo="correccion").motivo == "se derramó"
    assert [evento.insumos for evento in automaticos()] == [["mote"]]


def test_stock_reads_the_topic_that_sales_declare() -> None:
    assert VENTAS.name == reposicion.TOPICO_DE_VENTAS


def test_totals_are_one_row_an_ingredient(rosa: UUID) -> None:
    assert Existencia.objects.filter(carro=rosa).count() == len(LLENO)
