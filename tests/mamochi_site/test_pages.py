"""Every page that the API's front page leads to, as a maestro's browser sees it; and what leads nowhere."""

from uuid import uuid4

import pytest
from django.apps import apps
from django.test import Client, RequestFactory
from django.urls import reverse

from inscripciones.api.views import RaizView
from inscripciones.models import Usuario
from mamochi_site import views
from stock import seed as stock_seed
from ventas import seed as ventas_seed

PAGE = {"accept": "text/html"}
pytestmark = pytest.mark.django_db
pages = pytest.mark.parametrize("route", sorted(set(RaizView.RUTAS.values()) - {"inscripciones:token-rotar", "schema"}))


@pytest.fixture
def maestro(client: Client) -> Client:
    """A browser with an open session."""
    ventas_seed.sembrar_catalogo()
    stock_seed.sembrar(apps)
    client.force_login(Usuario.objects.create_user(username=str(uuid4()), maestro_id=uuid4()))
    return client


@pages
def test_a_maestro_opens_every_page(maestro: Client, route: str) -> None:
    answer = maestro.get(reverse(route), headers=PAGE)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert 'name="viewport"' in answer.content.decode()


@pages
def test_a_page_that_needs_a_token_leads_to_where_one_pastes_it(client: Client, route: str) -> None:
    answer = client.get(reverse(route), headers=PAGE)
    if answer.status_code != 200:
        assert answer.status_code == 401
        assert f'{reverse("inscripciones:entrar")}?next={reverse(route)}">entra con tu token' in answer.content.decode()


def test_the_bare_address_leads_to_the_api(client: Client) -> None:
    assert client.get("/").headers["Location"] == "/api/v1/"


@pytest.mark.parametrize("path", ["/nada/", "/api/v1/nada/", "/api/v1/ventas/x/", "/api/v1/inscripciones/x/"])
def test_an_address_that_leads_nowhere_is_a_404_in_spanish(client: Client, path: str) -> None:
    program, browser = client.get(path), client.get(path, headers=PAGE)
    assert (program.status_code, program.json()) == (404, {"detail": views.NO_ENCONTRADO})
    assert (browser.status_code, views.NO_ENCONTRADO in browser.content.decode()) == (404, True)


def test_an_unforeseen_error_is_a_500_in_spanish() -> None:
    program, browser = (views.server_error(RequestFactory().get("/", headers=headers)) for headers in ({}, PAGE))
    assert (program.status_code, browser.status_code) == (500, 500)
    assert views.ERROR_NUESTRO in program.content.decode()
    assert views.ERROR_NUESTRO in browser.content.decode()


def test_a_body_that_cannot_be_read_is_a_400_in_spanish(client: Client) -> None:
    answer = client.post("/api/v1/inscripciones/", "{bad", content_type="application/json")
    assert (answer.status_code, answer.json()["detail"][:29]) == (400, "El cuerpo no se puede leer: r")


def test_a_form_without_its_csrf_token_is_refused_in_spanish() -> None:
    answer = Client(enforce_csrf_checks=True).post(reverse("inscripciones:entrar"), {"token": "x"})
    assert (answer.status_code, "no guarda cookies" in answer.content.decode()) == (403, True)


def test_what_a_maestro_was_shown_stays_in_no_cache(maestro: Client) -> None:
    assert maestro.get("/api/v1/tokens/").headers["Cache-Control"] == "no-store"
    stranger = Client()
    assert stranger.get("/api/v1/", headers={"authorization": "Bearer x"}).headers["Cache-Control"] == "no-store"
    assert "Cache-Control" not in stranger.get("/api/v1/").headers


def test_a_body_that_is_too_large_is_a_413_in_spanish_without_being_read(client: Client) -> None:
    answer = client.post("/api/v1/inscripciones/", b"{" + b" " * 1_000_000, content_type="application/json")
    assert (answer.status_code, answer.json()["detail"][:31]) == (413, "El cuerpo supera los 1000000 by")
