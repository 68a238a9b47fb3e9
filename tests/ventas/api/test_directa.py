"""The short way of a program's sale answers as DRF's way does."""

import json
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import transaction
from pytest_django import DjangoAssertNumQueries
from rest_framework.test import APIClient

from inscripciones import credenciales
from inscripciones.models import Usuario
from tests.support.api import client_with
from tests.ventas.api.requests import VALID, VENTAS
from ventas.catalogo import memoria

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("topics", "catalogue")]

BY_DRF = f"{VENTAS}?a=1"  # a query is not plain
CHANGES = ("traceparent", "location")  # from one request to the next


@pytest.fixture
def maestro() -> Usuario:
    return Usuario.objects.create_user(username=str(uuid4()), maestro_id=uuid4())


@pytest.fixture
def program(maestro: Usuario) -> APIClient:
    with transaction.atomic():
        return client_with(credenciales.emitir(maestro))


def send(program: APIClient, body: Any, path: str = VENTAS, **headers: str) -> Any:
    content = body if isinstance(body, str | bytes) else json.dumps(body)
    return program.post(path, content, content_type="application/json", headers=headers or None)


def headers_of(response: Any) -> dict[str, str]:
    return {name: value for name, value in response.headers.items() if name.lower() not in CHANGES}


def test_accepted_sale_is_answered_alike(program: APIClient) -> None:
    direct, by_drf = send(program, VALID), send(program, VALID, BY_DRF)
    assert (direct.status_code, by_drf.status_code) == (202, 202)
    assert headers_of(direct) == headers_of(by_drf)
    assert list(direct.json()) == list(by_drf.json()) == ["id"]
    assert direct.headers["Location"] == f"http://testserver{VENTAS}{direct.json()['id']}/"
    assert by_drf.headers["Location"] == f"http://testserver{VENTAS}{by_drf.json()['id']}/"
    # DRF's response is a template, the direct one is not: so both ways were taken.
    assert (hasattr(direct, "accepted_renderer"), hasattr(by_drf, "accepted_renderer")) == (False, True)


@pytest.mark.parametrize(
    "body",
    [
        {"producto": "gigante", "cantidad": 1},
        {"producto": "mediano", "cantidad": 0},
        {"producto": "mediano", "cantidad": 1, "vendida_en": "2099-01-01T00:00:00Z"},
        {"producto": "mediano", "cantidad": 1, "vendido_en": "ayer"},
        {},
        [],
        [VALID],
        "no es JSON",
        b"\xff",
        '{"producto": "mediano", "producto": "chico", "cantidad": 1}',
        "null",
        "7",
        "",
    ],
    ids=str,
)
def test_what_else_comes_is_answered_alike(program: APIClient, body: Any) -> None:
    direct, by_drf = send(program, body), send(program, body, BY_DRF)
    assert direct.status_code == by_drf.status_code
    assert headers_of(direct) | {"Content-Length": ""} == headers_of(by_drf) | {"Content-Length": ""}
    if direct.status_code != 202:
        assert direct.content == by_drf.content


def test_other_content_under_an_id_is_422(program: APIClient) -> None:
    sale = {**VALID, "id": str(uuid4())}
    assert [send(program, sale, path).json()["id"] for path in (VENTAS, BY_DRF)] == [sale["id"]] * 2
    direct, by_drf = (send(program, {**sale, "cantidad": 2}, path) for path in (VENTAS, BY_DRF))
    assert (direct.status_code, direct.content) == (422, by_drf.content)
    assert headers_of(direct) == headers_of(by_drf)


def test_retry_by_its_key_is_the_same_sale(program: APIClient) -> None:
    key = {"Idempotency-Key": str(uuid4())}
    assert send(program, VALID, **key).json() == send(program, VALID, **key).json()
    assert send(program, VALID, **{"Idempotency-Key": "x" * 201}).status_code == 400


@pytest.mark.parametrize("credentials", ["", "Bearer", "Bearer mmc_no", "Basic bm8=", "Bearer a b", "Bearer \x00"])
def test_bad_credentials_are_401(credentials: str) -> None:
    unknown = APIClient()
    unknown.credentials(HTTP_AUTHORIZATION=credentials)
    direct, by_drf = send(unknown, VALID), send(unknown, VALID, BY_DRF)
    assert (direct.status_code, direct.content) == (401, by_drf.content)
    assert direct.headers["WWW-Authenticate"] == "Bearer"


def test_voided_token_ends_at_once(program: APIClient, maestro: Usuario) -> None:
    assert send(program, VALID).status_code == 202
    credenciales.revocar(maestro)
    assert send(program, VALID).status_code == 401


def test_who_is_no_maestro_is_403() -> None:
    staff = Usuario.objects.create_user(username=str(uuid4()))
    with transaction.atomic():
        program = client_with(credenciales.emitir(staff))
    assert send(program, VALID).status_code == 403


def test_other_addresses_accept_no_sale(program: APIClient) -> None:
    assert send(program, VALID, f"{VENTAS}resumen/").status_code == 405
    assert send(program, VALID, f"{VENTAS}{uuid4()}/anular/").status_code in (400, 404)


def test_browser_is_answered_by_drf(program: APIClient) -> None:
    page = send(program, VALID, Accept="text/html")
    assert page.status_code == 303


def test_sale_takes_one_query(program: APIClient, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    memoria.leer()
    with django_assert_num_queries(1):
        assert UUID(send(program, VALID).json()["id"])
