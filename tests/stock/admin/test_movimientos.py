"""The lists of the other models: to look at, fast, and to search."""

from uuid import uuid4

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from stock import consumers
from stock.models import Movimiento
from tests.stock.carts import approval, medianos
from tests.support.sales import void_of


def _sell_ten_and_void_one(nombre: str) -> None:
    maestro_id = uuid4()
    consumers.abrir_carros([approval(maestro_id, nombre)])
    sales = medianos(maestro_id, 10)
    consumers.descontar_ventas(sales)
    consumers.devolver_anuladas([void_of(sales[-1])])


@pytest.mark.parametrize("model", ["insumo", "carro", "existencia", "movimiento", "aviso", "anulacion"])
def test_queries_do_not_grow_with_the_rows(staff: Client, model: str) -> None:
    counts = []
    for more in (2, 6):
        for n in range(more):
            _sell_ten_and_void_one(f"Maestro {n}")
        with CaptureQueriesContext(connection) as queries:
            assert staff.get(f"/admin/stock/{model}/").status_code == 200
        counts.append(len(queries))
    assert counts[0] == counts[1]


@pytest.mark.parametrize("model", ["carro", "existencia", "movimiento", "aviso", "anulacion"])
def test_rows_written_by_services_are_read_only(staff: Client, model: str) -> None:
    assert staff.get(f"/admin/stock/{model}/add/").status_code == 403


def test_movements_are_searched_by_the_sales_id(staff: Client) -> None:
    _sell_ten_and_void_one("Ana")
    sale = Movimiento.objects.filter(tipo="venta").latest("id")
    assert "Ana" in staff.get("/admin/stock/movimiento/", {"q": str(sale.referencia)}).content.decode()


def test_a_search_for_nonsense_finds_nothing(staff: Client) -> None:
    assert staff.get("/admin/stock/movimiento/", {"q": "nada de nada"}).status_code == 200
