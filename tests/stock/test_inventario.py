"""Openings, sales, voids and corrections move a cart's stock through the ledger, each once."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from stock import consumers, inventario
from stock.models import Carro, Existencia, Insumo, Movimiento
from tests.stock.carts import (
    FULL,
    approval,
    automatic_notices,
    correction,
    ledger_of,
    medianos,
    sale_of,
    stock_of,
)
from tests.support.sales import NOW, void_of

Queries = Callable[[int], AbstractContextManager[Any]]


def test_a_cart_opens_with_ten_medianos(rosa: UUID) -> None:
    assert stock_of(rosa) == ledger_of(rosa) == FULL
    assert Carro.objects.get().nombre == "Rosa Ñáñez"
    consumers.descontar_ventas(medianos(rosa, 10))
    assert set(stock_of(rosa).values()) == {0}


def test_a_repeated_approval_loads_once(rosa: UUID) -> None:
    consumers.abrir_carros([approval(rosa), approval(rosa)])
    assert stock_of(rosa) == FULL


def test_a_repeated_sale_takes_nothing(rosa: UUID) -> None:
    sold = sale_of(rosa, mote=100, vaso=1)
    consumers.descontar_ventas([sold, sold])
    consumers.descontar_ventas([sold])
    assert stock_of(rosa) == ledger_of(rosa) == FULL | {"mote": 1_400, "vaso": 9}


def test_a_sale_may_precede_its_cart(db: None) -> None:
    maestro_id = uuid4()
    consumers.descontar_ventas(medianos(maestro_id, 1))
    assert stock_of(maestro_id)["mote"] == -150
    assert not automatic_notices()  # no cart yet: nothing to fill
    consumers.abrir_carros([approval(maestro_id)])
    assert stock_of(maestro_id)["mote"] == 1_350


def test_a_void_gives_back_once(rosa: UUID) -> None:
    sales = medianos(rosa, 2)
    consumers.descontar_ventas(sales)
    consumers.devolver_anuladas([void_of(sales[0]), void_of(sales[0])])
    consumers.devolver_anuladas([void_of(sales[0])])
    assert stock_of(rosa) == ledger_of(rosa)
    assert stock_of(rosa)["mote"] == 1_350
    assert Movimiento.objects.get(tipo="anulacion").insumos["mote"] == 150


def test_a_void_may_precede_its_sale(rosa: UUID) -> None:
    sold = sale_of(rosa)
    consumers.devolver_anuladas([void_of(sold)])
    assert stock_of(rosa) == FULL
    consumers.descontar_ventas([sold])
    assert stock_of(rosa) == ledger_of(rosa) == FULL
    assert Movimiento.objects.filter(referencia=sold.venta_id).count() == 2


def test_a_void_by_another_maestro_does_nothing(rosa: UUID) -> None:
    sold = sale_of(rosa)
    foreign = msgspec.structs.replace(void_of(sale_of(uuid4())), venta_id=sold.venta_id)
    consumers.descontar_ventas([sold])
    consumers.devolver_anuladas([foreign])
    assert stock_of(rosa)["mote"] == 1_350


def test_a_thousand_sales_move_each_total_once(rosa: UUID, django_assert_num_queries: Queries) -> None:
    Insumo.objects.update(capacidad=10**6)
    for insumo in ("mote", "huesillo", "jugo", "vaso"):
        inventario.corregir(correction(rosa, insumo, 10**8), ahora=NOW)
    # Restore asked about, carts made and locked, lines and totals, voids.
    with django_assert_num_queries(4):
        consumers.descontar_ventas(medianos(rosa, 1))
    before = _totals_written()
    # The same, with COPY and its savepoint before the totals.
    with django_assert_num_queries(7):
        consumers.descontar_ventas(medianos(rosa, 1_000))
    assert _totals_written() - before == len(FULL)
    assert stock_of(rosa)["mote"] == 10**8 + 1_500 - 1_001 * 150
    assert Movimiento.objects.filter(carro=rosa, tipo="venta").count() == 1_001


def _totals_written() -> int:
    """Return how many rows of totals this transaction has written, as PostgreSQL counts them."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT n_tup_ins + n_tup_upd FROM pg_stat_xact_user_tables WHERE relname = 'stock_existencia'")
        return int(cursor.fetchone()[0])


def test_queries_do_not_grow_with_the_carts(db: None) -> None:
    counts = []
    for carts in (11, 20):  # so many sales that COPY inserts them
        maestros = [uuid4() for _ in range(carts)]
        consumers.abrir_carros([approval(maestro_id) for maestro_id in maestros])
        with CaptureQueriesContext(connection) as queries:
            consumers.descontar_ventas([sold for maestro_id in maestros for sold in medianos(maestro_id, 10)])
        counts.append(len(queries))
    assert counts[0] == counts[1] <= 13
    assert len(automatic_notices()) == 31


@pytest.mark.parametrize("cantidad", [-1_500, -2_000])
def test_a_correction_counts_once_and_is_noticed(rosa: UUID, cantidad: int) -> None:
    change = correction(rosa, "mote", cantidad)
    inventario.corregir(change, ahora=NOW)
    inventario.corregir(change, ahora=NOW)
    assert stock_of(rosa) == ledger_of(rosa) == FULL | {"mote": 1_500 + cantidad}
    assert Movimiento.objects.get(tipo="correccion").motivo == "se derramó"
    assert [event.insumos for event in automatic_notices()] == [["mote"]]


def test_a_total_is_one_row_per_ingredient(rosa: UUID) -> None:
    assert Existencia.objects.filter(carro=rosa).count() == len(FULL)
