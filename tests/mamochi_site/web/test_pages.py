"""The pages linked from the API's front page, in a maestro's browser; and the error pages."""

from uuid import uuid4

import pytest
from django.test import Client, RequestFactory
from django.urls import reverse

from inscripciones.api.views import RaizView
from inscripciones.models import Usuario
from mamochi_site.web import views

PAGE = {"accept": "text/html"}
pytestmark = pytest.mark.django_db
pages = pytest.mark.parametrize("route", sorted(set(RaizView.RUTAS.values()) - {"inscripciones:token-rotar", "schema"}))


@pytest.fixture
def maestro(client: Client) -> Client:
    """Return a browser in which a maestro is logged in."""
    client.force_login(Usuario.objects.create_user(username=str(uuid4()), maestro_id=uuid4()))
    return client


@pages
def test_maestro_opens_every_page(maestro: Client, route: str) -> None:
    answer = maestro.get(reverse(route), headers=PAGE)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert 'name="viewport"' in answer.content.decode()


@pages
def test_page_that_needs_a_token_links_to_login(client: Client, route: str) -> None:
    answer = client.get(reverse(route), headers=PAGE)
    if answer.status_code != 200:
        assert answer.status_code == 401
        link = f'{reverse("inscripciones:entrar")}?next={reverse(route)}">Entrar con mi token'
        assert link in answer.content.decode()


def test_root_redirects_to_the_api(client: Client) -> None:
    assert client.get("/").headers["Location"] == "/api/v1/"


@pytest.mark.parametrize("path", ["/nada/", "/api/v1/nada/", "/api/v1/ventas/x/", "/api/v1/inscripciones/x/"])
def test_unknown_address_is_404_in_spanish(client: Client, path: str) -> None:
    program, browser = client.get(path), client.get(path, headers=PAGE)
    assert (program.status_code, program.json()) == (404, {"detail": views.NO_ENCONTRADO})
    assert (browser.status_code, views.NO_ENCONTRADO in browser.content.decode()) == (404, True)


def test_unexpected_error_is_500_in_spanish() -> None:
    program, browser = (views.server_error(RequestFactory().get("/", headers=headers)) for headers in ({}, PAGE))
    assert (program.status_code, browser.status_code) == (500, 500)
    assert views.ERROR_NUESTRO in program.content.decode()
    assert views.ERROR_NUESTRO in browser.content.decode()


def test_malformed_body_is_400_in_spanish(client: Client) -> None:
    answer = client.post("/api/v1/inscripciones/", "{bad", content_type="application/json")
    assert (answer.status_code, answer.json()["detail"][:29]) == (400, "El cuerpo no se puede leer: r")


def test_missing_csrf_token_is_403_in_spanish() -> None:
    answer = Client(enforce_csrf_checks=True).post(reverse("inscripciones:entrar"), {"token": "x"})
    assert (answer.status_code, "no envió la cookie" in answer.content.decode()) == (403, True)


def test_no_cache_stores_a_maestros_pages(maestro: Client) -> None:
    assert maestro.get("/api/v1/tokens/").headers["Cache-Control"] == "no-store"
    visitor = Client()
    assert visitor.get("/api/v1/", headers={"authorization": "Bearer x"}).headers["Cache-Control"] == "no-store"
    assert "Cache-Control" not in visitor.get("/api/v1/").headers


def test_large_body_is_413_and_not_read(client: Client) -> None:
    answer = client.post("/api/v1/inscripciones/", b"{" + b" " * 1_000_000, content_type="application/json")
    assert (answer.status_code, answer.json()["detail"][:31]) == (413, "El cuerpo supera los 1000000 by")
