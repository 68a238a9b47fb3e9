"""A maestro's token over the API."""

import re
from datetime import timedelta

import pytest
import time_machine
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from inscripciones import credenciales
from inscripciones.models import Usuario
from tests.support.api import client_with, log_in
from tests.support.people import make_form, register

pytestmark = pytest.mark.django_db


def test_no_token_or_a_wrong_one_is_401(api: APIClient) -> None:
    assert api.get("/api/v1/tokens/").status_code == 401
    assert client_with("mmc_" + "0" * 64).get("/api/v1/tokens/").status_code == 401


def test_rotating_voids_the_old_token(maestro: Usuario) -> None:
    old = client_with(credenciales.emitir(maestro))
    answer = old.post("/api/v1/tokens/rotar/")
    assert answer.status_code == 201
    new = client_with(answer.json()["token"])
    assert (old.get("/api/v1/tokens/").status_code, new.get("/api/v1/tokens/").status_code) == (401, 200)


def test_a_maestro_revokes_only_their_own(maestro: Usuario) -> None:
    [another] = register(make_form())
    other_token = credenciales.emitir(Usuario.objects.get(maestro__inscripcion=another))
    token = credenciales.emitir(maestro)
    [visible] = client_with(token).get("/api/v1/tokens/").json()
    assert visible["clave"] == token[:15]
    assert client_with(token).delete("/api/v1/tokens/").status_code == 204
    answers = [client_with(one).get("/api/v1/tokens/") for one in (token, other_token)]
    assert [answer.status_code for answer in answers] == [401, 200]


def test_an_inactive_users_token_is_refused(maestro: Usuario) -> None:
    token = credenciales.emitir(maestro)
    Usuario.objects.filter(pk=maestro.pk).update(is_active=False)
    assert client_with(token).get("/api/v1/tokens/").status_code == 401


def test_a_token_ends_after_a_year(maestro: Usuario) -> None:
    token = client_with(credenciales.emitir(maestro))
    almost, over = (timezone.now() + timedelta(days=365, minutes=minutes) for minutes in (-1, 1))
    for moment, status in ((almost, 200), (over, 401)):
        with time_machine.travel(moment):
            assert token.get("/api/v1/tokens/").status_code == status


@pytest.mark.parametrize(("method", "path"), [("post", "/api/v1/tokens/rotar/"), ("delete", "/api/v1/tokens/")])
def test_a_void_token_ends_its_sessions(client: Client, maestro: Usuario, method: str, path: str) -> None:
    token = credenciales.emitir(maestro)
    log_in(client, token)
    assert client.get("/api/v1/tokens/").status_code == 200
    getattr(client_with(token), method)(path)
    assert client.get("/api/v1/tokens/").status_code == 401


def test_rotating_keeps_the_own_session(client: Client, maestro: Usuario) -> None:
    log_in(client, credenciales.emitir(maestro))
    token = client.post("/api/v1/tokens/rotar/").json()["token"]
    assert client.get("/api/v1/tokens/").json()[0]["clave"] == token[:15]


def test_one_tap_changes_the_token(maestro: Usuario) -> None:
    browser = Client(enforce_csrf_checks=True)
    old = credenciales.emitir(maestro)
    browser.get("/api/v1/entrar/")
    log_in(browser, old, csrfmiddlewaretoken=browser.cookies["csrftoken"].value)
    page = browser.get("/api/v1/tokens/", headers={"accept": "text/html"}).text
    [(url, csrf, clave)] = re.findall(
        r'<form method="post" action="([^"]+)"><input type="hidden" name="csrfmiddlewaretoken" value="([^"]+)">'
        r'<input type="hidden" name="clave" value="([^"]+)"><button class="boton">Cambiar mi token',
        page,
    )
    answer = browser.post(url, {"csrfmiddlewaretoken": csrf, "clave": clave}, headers={"accept": "text/html"})
    assert answer.status_code == 201
    [new] = set(re.findall(r"mmc_[0-9a-f]{64}", answer.text))
    assert [client_with(token).get("/api/v1/tokens/").status_code for token in (old, new)] == [401, 200]
    fresh = browser.cookies["csrftoken"].value  # the session goes on
    again = browser.post(url, {"csrfmiddlewaretoken": fresh, "clave": clave}, headers={"accept": "text/html"})
    assert (again.status_code, "Este token ya se cambió" in again.text) == (409, True)
    assert client_with(new).get("/api/v1/tokens/").status_code == 200


def test_a_repeated_change_does_not_void_what_the_first_showed(maestro: Usuario) -> None:
    """The second request came while the first one was under way: the old token was still valid."""
    old = credenciales.emitir(maestro)
    shown = credenciales.emitir(maestro, en_lugar_de=old[:15])
    with pytest.raises(credenciales.TokenCambiado):
        credenciales.emitir(maestro, en_lugar_de=old[:15])
    assert client_with(shown).get("/api/v1/tokens/").status_code == 200


def test_a_first_token_replaces_none(client: Client, maestro: Usuario) -> None:
    client.force_login(maestro)
    assert client.post("/api/v1/tokens/rotar/", {"clave": "mmc_0123456789a"}).status_code == 409
    assert client.post("/api/v1/tokens/rotar/", {"clave": ""}).status_code == 201
    assert client.post("/api/v1/tokens/rotar/", {"clave": ""}).status_code == 409
    assert client.post("/api/v1/tokens/rotar/", {"llave": ""}).status_code == 400
