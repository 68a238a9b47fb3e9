"""POST of sales and voids: what is accepted, what is refused and why."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from deploy.embedded.waiting import wait_until
from kafka_bridge.models import OutboxMessage
from tests.support.consumers import consumer, running
from tests.ventas.api.requests import RESUMEN, VALID, VENTAS, post
from ventas import calendario
from ventas.events import VentaRegistrada
from ventas.models import Venta

SECONDS = 30.0
pytestmark = pytest.mark.django_db


@pytest.mark.django_db(transaction=True)
def test_an_accepted_sale_reaches_the_accounts(topics: None, api: APIClient) -> None:
    id_ = str(uuid4())
    response = post(api, {"id": id_, "producto": "mediano", "cantidad": 2})
    assert (response.status_code, response.json()) == (202, {"id": id_})
    with running(consumer("contabilidad", own_group=True)):
        wait_until(lambda: api.get(f"{VENTAS}{id_}/").status_code == 200, SECONDS)
    read = api.get(f"{VENTAS}{id_}/").json()
    assert {field: read[field] for field in ("id", "producto", "cantidad", "ingresos", "ganancias")} == {
        "id": id_,
        "producto": "mediano",
        "cantidad": 2,
        "ingresos": 4_000,
        "ganancias": 2_780,
    }
    accounts = api.get(RESUMEN).json()
    assert (accounts["cantidad_ventas"], accounts["unidades"], accounts["ingresos"]) == (1, 2, 4_000)
    assert [one["id"] for one in api.get(VENTAS).json()["results"]] == [id_]


def test_a_sale_without_an_id_gets_one_in_the_order_of_time(api: APIClient, catalogue: None, maestro_id: UUID) -> None:
    ids = [UUID(post(api, {"producto": "mediano", "cantidad": 1}).json()["id"]) for _ in range(3)]
    assert [id_.version for id_ in ids] == [7, 7, 7]
    events = [VentaRegistrada.derive_id(maestro_id, id_) for id_ in ids]
    assert [event.int >> 80 for event in events] == [id_.int >> 80 for id_ in ids]


@pytest.mark.parametrize("cantidad", ["1.0", "1.00", "1,5", "1,000", "1e1", 1.0, 1e1, 1.5, True, "3 un", "1.001"])
def test_a_doubtful_amount_is_an_error(api: APIClient, catalogue: None, cantidad: Any) -> None:
    one = {"producto": "mediano", "cantidad": cantidad}
    assert list(post(api, one).json()) == ["cantidad"]
    assert list(post(api, [one]).json()["errores"][0]) == ["indice", "cantidad"]


def test_an_amount_in_thousands_is_a_thousand(api: APIClient, catalogue: None) -> None:
    for cantidad in ("1.000", "1 000", "1000", 1000):
        datos = {"producto": "mediano", "cantidad": cantidad}
        assert post(api, datos).status_code == 202, cantidad


@pytest.mark.django_db(transaction=True)
def test_retries_are_one_sale(topics: None, api: APIClient, maestro_id: UUID) -> None:
    with_id = {"id": str(uuid4()), "producto": "chico", "cantidad": 1}
    without_id = {"producto": "grande", "cantidad": 1}
    first = [
        post(api, with_id),
        post(api, without_id, **{"Idempotency-Key": "k1"}),
        post(api, [with_id, without_id]),
    ]
    second = [post(api, with_id), post(api, without_id, **{"Idempotency-Key": "k1"})]
    assert [response.json() for response in second] == [response.json() for response in first[:2]]
    assert first[2].json()["aceptadas"] == 2
    with running(consumer("contabilidad", own_group=True)):
        wait_until(lambda: Venta.objects.filter(maestro_id=maestro_id).count() >= 3, SECONDS)
        post(api, {"producto": "mediano", "cantidad": 1})
        wait_until(lambda: Venta.objects.filter(maestro_id=maestro_id, producto="mediano").exists(), SECONDS)
    assert Venta.objects.filter(maestro_id=maestro_id).count() == 4


@pytest.mark.django_db(transaction=True)
def test_a_void_takes_the_sale_back(topics: None, api: APIClient) -> None:
    id_ = post(api, {"producto": "mediano", "cantidad": 2}).json()["id"]
    with running(consumer("contabilidad", own_group=True)):
        wait_until(lambda: api.get(f"{VENTAS}{id_}/").status_code == 200, SECONDS)
        response = api.post(f"{VENTAS}{id_}/anular/", {"motivo": "me equivoqué"}, format="json")
        assert (response.status_code, response.json()) == (202, {"id": id_})
        wait_until(lambda: api.get(f"{VENTAS}{id_}/").json()["anulada_en"], SECONDS)
    assert api.get(RESUMEN).json()["cantidad_ventas"] == 0


def test_a_list_of_a_thousand_keeps_its_order(topics: None, api: APIClient) -> None:
    sent = [{"id": str(uuid4()), "producto": "mediano", "cantidad": 1} for _ in range(1_000)]
    response = post(api, sent)
    assert response.status_code == 202
    assert response.json() == {"aceptadas": 1_000, "ids": [one["id"] for one in sent]}


def test_a_longer_list_is_too_large(api: APIClient) -> None:
    response = post(api, [{"producto": "mediano", "cantidad": 1}] * 1_001)
    assert response.status_code == 413
    assert "1000" in response.json()["detail"].replace(".", "")


@pytest.mark.parametrize(
    ("change", "field", "reason"),
    [
        ({"cantidad": 0}, "cantidad", "mayor"),
        ({"cantidad": 1_001}, "cantidad", "menor"),
        ({"cantidad": "muchos"}, "cantidad", "entero"),
        ({"cantidad": None}, "cantidad", "nulo"),
        ({"cantidad": 10**30}, "cantidad", "menor"),
        ({"cantidad": 1.5}, "cantidad", "entero"),
        ({"producto": "sopaipilla"}, "producto", "catálogo"),
        ({"producto": "a\x00"}, "producto", "catálogo"),
        ({"producto": ["mediano"]}, "producto", "cadena"),
        ({"id": "7"}, "id", "UUID"),
        ({"vendida_en": "ayer"}, "vendida_en", "formato"),
        ({"vendida_en": "2099-01-01T00:00:00Z"}, "vendida_en", "futuro"),
        ({"vendida_en": "9999-12-31T23:59:59-12:00"}, "vendida_en", "futuro"),
        ({"vendida_en": "2020-01-01T00:00:00Z"}, "vendida_en", "60 días"),
        ({"vendida_en": "0001-01-01T00:00:00+12:00"}, "vendida_en", "60 días"),
        ({"vendida_en": "0001-01-01T00:00:00"}, "vendida_en", "60 días"),
    ],
)
def test_errors_are_explained_in_spanish(api: APIClient, change: dict[str, Any], field: str, reason: str) -> None:
    response = post(api, {**VALID, **change})
    assert response.status_code == 400, response.content
    assert list(response.json()) == [field]
    assert reason in response.json()[field][0]
    in_list = post(api, [VALID, {**VALID, **change}])
    assert in_list.json() == {"errores": [{"indice": 1, field: response.json()[field]}]}


@pytest.mark.parametrize(
    "body", ["[]", "7", '"mediano"', "null", "{}", "[7]", "[null]", "[[]]", "{", '{"cantidad": NaN}']
)
def test_any_other_body_is_a_400(api: APIClient, body: str) -> None:
    response = api.generic("POST", VENTAS, body, content_type="application/json")
    assert response.status_code == 400, response.content


def test_a_list_is_accepted_whole_or_not_at_all(api: APIClient) -> None:
    id_ = str(uuid4())
    response = post(
        api,
        [{**VALID, "id": id_}, {"cantidad": 1}, VALID, {**VALID, "id": id_.upper()}, {"producto": "x", "cantidad": 0}],
    )
    assert response.status_code == 400
    errors = {error.pop("indice"): error for error in response.json()["errores"]}
    assert {index: sorted(error) for index, error in errors.items()} == {1: ["producto"], 3: ["id"], 4: ["cantidad"]}
    assert not OutboxMessage.objects.exists()


def test_a_time_without_offset_is_chilean(topics: None, api: APIClient) -> None:
    in_chile = timezone.now().astimezone(calendario.CHILE).replace(tzinfo=None, microsecond=0)
    assert post(api, {**VALID, "vendida_en": in_chile.isoformat()}).status_code == 202
    ahead = in_chile + timedelta(minutes=6)
    assert post(api, {**VALID, "vendida_en": ahead.isoformat()}).status_code == 400


def test_the_pages_form_can_be_posted(topics: None, api: APIClient) -> None:
    form = {"id": "", "producto": "mediano", "cantidad": "1", "vendida_en": ""}
    response = api.post(VENTAS, form, format="multipart")
    assert response.status_code == 202, response.content
    page = api.get(VENTAS, headers={"Accept": "text/html"}).content.decode()
    assert 'name="producto" value="mediano"><span>Mediano</span> <span>$2.000</span>' in page
