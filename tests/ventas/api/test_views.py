"""GET of sales and summaries."""

import json
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from tests.support.sales import NOW, enter, sale, void_of
from tests.ventas.api.requests import RESUMEN, VENTAS
from ventas import calendario
from ventas.api import pagination

pytestmark = pytest.mark.django_db


def test_a_missing_sale_is_404_with_retry_after(api: APIClient) -> None:
    of_another = sale(uuid4())
    enter(of_another)
    for id_ in (uuid4(), of_another.venta_id):
        for response in (api.get(f"{VENTAS}{id_}/"), api.post(f"{VENTAS}{id_}/anular/", {}, format="json")):
            assert response.status_code == 404
            assert response.headers["Retry-After"] == "1"
    assert api.get(f"{VENTAS}no-es-un-id/").status_code == 404


def test_without_a_token_all_is_401(catalogue: None) -> None:
    for path in (VENTAS, RESUMEN, "/api/v1/productos/"):
        assert Client().get(path, headers={"Accept": "application/json"}).status_code == 401


def test_own_sales_are_filtered_by_date(api: APIClient, maestro_id: UUID) -> None:
    moments = [datetime(2026, 11, 17, 2, 59, tzinfo=UTC), datetime(2026, 11, 17, 3, 0, tzinfo=UTC), NOW]
    enter(*[sale(maestro_id, vendida_en=moment) for moment in moments], sale(uuid4()))

    def count(query: str) -> int:
        return len(api.get(f"{VENTAS}?{query}").json()["results"])

    assert count("") == 3
    assert count("desde=2026-11-17") == 2
    assert count("hasta=2026-11-16") == 1
    assert count("desde=2026-11-17&hasta=2026-11-17") == 1
    assert count("hasta=2026-11-17T00:00:00-03:00") == 1
    assert count("hasta=2026-11-17T00:00:00") == 1
    for bad in ("desde=ayer", "hasta=2026-13-01", "desde=9999-12-31T23:59:59-12:00", "hasta=9999-12-31"):
        assert api.get(f"{VENTAS}?{bad}").status_code in (200, 400)
    assert api.get(f"{VENTAS}?desde=ayer").json()["desde"]


def test_pages_hold_every_sale_once(api: APIClient, maestro_id: UUID) -> None:
    sold = [sale(maestro_id, vendida_en=NOW + timedelta(seconds=n // 120)) for n in range(350)]  # 120 per moment
    enter(*sold)
    seen: list[str] = []
    page: str | None = VENTAS
    while page:
        response = api.get(page).json()
        assert len(response["results"]) <= pagination.PAGE_SIZE
        seen += [one["id"] for one in response["results"]]
        page = response["next"]
    assert sorted(seen) == sorted(str(one.venta_id) for one in sold)
    assert api.get(f"{VENTAS}?cursor=nada").status_code == 400


def test_the_summary_has_the_contracts_shape(api: APIClient, maestro_id: UUID) -> None:
    enter(sale(maestro_id, cantidad=2), mistake := sale(maestro_id))
    enter(void_of(mistake))
    accounts = api.get(f"{RESUMEN}?semana=2026-W47").json()
    day = accounts["por_dia"].pop(2)
    assert day == {"dia": "2026-11-18", "cantidad_ventas": 1, "unidades": 2, "ingresos": 4_000, "ganancias": 2_780}
    assert len(accounts.pop("por_dia")) == 6
    assert accounts == {
        "semana": "2026-W47",
        "desde": "2026-11-16T00:00:00-03:00",
        "hasta": "2026-11-23T00:00:00-03:00",
        "cantidad_ventas": 1,
        "unidades": 2,
        "ingresos": 4_000,
        "ganancias": 2_780,
        "por_producto": {"mediano": 2},
        "ajustes": {"cantidad_ventas": 0, "unidades": 0, "ingresos": 0, "ganancias": 0},
    }
    assert api.get(f"{RESUMEN}?semana=2026-W60").status_code == 400
    current = api.get(RESUMEN).json()
    assert current["semana"] == calendario.codigo(calendario.semana_de(timezone.now()))


def test_the_page_of_a_week_has_a_chart(api: APIClient, maestro_id: UUID) -> None:
    enter(sale(maestro_id))
    page = api.get(f"{RESUMEN}?semana=2026-W47", headers={"Accept": "text/html"}).content.decode()
    assert "<svg" in page
    assert "mié 18" in page


def test_the_openapi_document_has_sales(client: Client) -> None:
    document = json.loads(client.get("/api/schema/", headers={"Accept": "application/vnd.oai.openapi+json"}).content)
    assert {"get", "post"} <= set(document["paths"]["/api/v1/ventas/"])
    assert "VentaEntrada" in document["components"]["schemas"]
