"""The login page, and the pages behind it."""

import json

import pytest
from django.test import Client
from rest_framework.test import APIClient

from inscripciones import credenciales
from inscripciones.models import Usuario
from tests.support.api import client_with, log_in

pytestmark = pytest.mark.django_db
URL = "/api/v1/inscripciones/"


def test_a_token_opens_a_session_without_it(client: Client, maestro: Usuario) -> None:
    token = credenciales.emitir(maestro)
    answer = log_in(client, f" {token} ", next="/api/v1/tokens/")
    assert (answer.status_code, answer["Location"]) == (302, "/api/v1/tokens/")
    assert client.get("/api/v1/tokens/").json()[0]["clave"] == token[:15]
    assert token[15:] not in json.dumps(dict(client.session.items()))


@pytest.mark.parametrize("pasted", ["\u202a{}\u202c", "\u200b{}\ufeff", "«{}»", "Bearer {}", "{}.", "\t{}\xa0"])
def test_a_pasted_token_is_cleaned(client: Client, maestro: Usuario, pasted: str) -> None:
    assert log_in(client, pasted.format(credenciales.emitir(maestro))).status_code == 302


@pytest.mark.parametrize("token", ["", "mmc_0", "mmc_" + "f" * 64, "ñandú", "x" * 300])
def test_a_wrong_token_is_not_shown_again(client: Client, token: str) -> None:
    answer = log_in(client, token)
    assert answer.status_code == 200
    assert 'role="alert"' in answer.text
    assert not token or token not in answer.text
    assert client.get("/api/v1/tokens/").status_code == 401


def test_another_site_cannot_log_someone_in(maestro: Usuario) -> None:
    strict = Client(enforce_csrf_checks=True)
    assert log_in(strict, credenciales.emitir(maestro)).status_code == 403
    assert log_in(Client(), credenciales.emitir(maestro), next="https://evil.example/")["Location"] == "/api/v1/"


def test_the_pages_lead_in_and_out(client: Client, maestro: Usuario) -> None:
    assert "/api/v1/entrar/?next=/api/v1/tokens/" in client.get("/api/v1/tokens/", headers={"accept": "text/html"}).text
    log_in(client, credenciales.emitir(maestro))
    page = client.get("/api/v1/tokens/", headers={"accept": "text/html"}).text
    assert ("Salir" in page, "Rosa Ñáñez Peña" in page) == (True, True)
    assert client.post("/api/v1/salir/").status_code == 302
    assert client.get("/api/v1/tokens/").status_code == 401


def test_the_root_leads_everywhere(api: APIClient) -> None:
    routes = api.get("/api/v1/").json()
    assert routes["inscripciones"] == f"http://testserver{URL}"
    urls = [url for name, url in routes.items() if name not in ("esquema", "documentacion")]
    assert {client_with("x").get(url).status_code for url in urls} <= {200, 401}
