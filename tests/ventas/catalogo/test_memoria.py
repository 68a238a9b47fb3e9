"""The catalogue: what sales read of it, and what GET productos/ lists."""

from typing import Any

from rest_framework.test import APIClient

from tests.ventas.api.requests import VALID, post
from ventas.catalogo import memoria
from ventas.models import Insumo, Producto


def test_edited_prices_apply_to_the_next_sales(topics: None, api: APIClient) -> None:
    Producto.objects.filter(pk="mediano").update(precio=9_990)
    Insumo.objects.filter(pk="vaso").update(costo="40.50")
    memoria.olvidar()
    assert memoria.vigente()["mediano"].precio == 9_990
    assert memoria.vigente()["mediano"].costo == 611  # 610.5, rounded half up
    Producto.objects.filter(pk="mediano").update(activo=False)
    memoria.olvidar()
    assert "producto" in post(api, VALID).json()


def test_most_sales_read_no_catalogue(topics: None, api: APIClient, django_assert_num_queries: Any) -> None:
    post(api, VALID)
    with django_assert_num_queries(0):
        post(api, VALID)


def test_the_catalogue_is_listed(api: APIClient) -> None:
    productos = api.get("/api/v1/productos/").json()
    assert [producto["codigo"] for producto in productos] == ["chico", "mediano", "grande"]
    assert productos[1]["precio"] == 2_000
    assert {"insumo": "huesillo", "cantidad": 2, "unidad": "un"} in productos[1]["receta"]
