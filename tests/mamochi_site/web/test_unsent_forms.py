"""A page whose form could not be sent says so, and keeps what was typed."""

import re
from html import unescape
from uuid import uuid4

import pytest
from django.core.cache import cache
from django.test import Client
from pytest_django import DjangoAssertNumQueries, Settings

from inscripciones import credenciales
from inscripciones.models import Usuario
from inscripciones.tramite import recepcion
from kafka_bridge.exceptions import Unavailable
from tests.support import sales
from tests.support.api import log_in
from tests.support.people import make_form
from ventas.catalogo import memoria

pytestmark = pytest.mark.django_db
PAGE = {"accept": "text/html"}
FORMULARIO, VENTAS = "/api/v1/inscripciones/", "/api/v1/ventas/"


def typed_fields(page: str) -> dict[str, str]:
    """Return the fields that the page sends again."""
    fields = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', page)
    return {name: unescape(value) for name, value in fields}


def typed_form() -> dict[str, str]:
    form = make_form()
    return {name: form[name] for name in ("nombre", "rut", "email", "telefono", "comuna")}


def test_without_service_a_form_is_kept(
    client: Client, monkeypatch: pytest.MonkeyPatch, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    """The page makes no query: the database may be what is down."""

    def neither(*_: object) -> None:
        raise Unavailable

    monkeypatch.setattr(recepcion, "publish", neither)
    form = typed_form()
    with django_assert_num_queries(0):
        answer = client.post(FORMULARIO, form, headers=PAGE)
    assert (answer.status_code, int(answer.headers["Retry-After"]) > 0) == (503, True)
    assert "No se envió" in answer.text
    assert form["email"] in answer.text
    assert form.items() <= typed_fields(answer.text).items()


def test_too_many_forms_are_kept(client: Client, settings: Settings) -> None:
    cache.clear()
    settings.LIMITE_INSCRIPCIONES = "1/min"
    client.post(FORMULARIO, {}, headers=PAGE)
    form = typed_form()
    answer = client.post(FORMULARIO, form, headers=PAGE)
    assert answer.status_code == 429
    assert f"Espera {answer.headers['Retry-After']} segundo" in answer.text
    assert form.items() <= typed_fields(answer.text).items()


@pytest.mark.parametrize("logged_in", [True, False], ids=["old-page", "no-session"])
def test_a_sale_outlives_its_page_and_its_session(kafka: str, logged_in: bool) -> None:
    """An old page (CSRF) or an ended session: sent again from the answer, the sale is accepted."""
    sales.prepare_topics()
    memoria.olvidar()
    usuario = Usuario.objects.create_user(username=str(uuid4()), maestro_id=uuid4())
    browser = Client(enforce_csrf_checks=True)
    if logged_in:
        browser.force_login(usuario, backend="django.contrib.auth.backends.ModelBackend")
    key = str(uuid4())
    sale = {"producto": "mediano", "cantidad": "2", "vendida_en": "", "Idempotency-Key": key}
    answer = browser.post(VENTAS, sale, headers=PAGE)
    assert answer.status_code == (403 if logged_in else 401)
    assert "No se envió" in answer.text
    fields = typed_fields(answer.text)
    assert sale.items() <= fields.items()
    if not logged_in:
        log_in(browser, credenciales.emitir(usuario), csrfmiddlewaretoken=fields["csrfmiddlewaretoken"])
        # Logging in has changed the secret of the forms: the answer is an old page now.
        fields = typed_fields(browser.post(VENTAS, fields, headers=PAGE).text)
    again = browser.post(VENTAS, fields, headers=PAGE)
    assert (again.status_code, again.headers["Location"]) == (303, VENTAS)
    assert "2 × Mediano" in browser.get(VENTAS, headers=PAGE).text


@pytest.mark.parametrize("bad", [b"{", b"a=1&" * 3_000, b"\xff\xfe=%ff", b"nadie=x"])
def test_a_page_of_an_unreadable_form_has_no_error(client: Client, bad: bytes) -> None:
    answer = client.post(FORMULARIO, bad, content_type="application/x-www-form-urlencoded", headers=PAGE)
    assert answer.status_code in (400, 415)
    assert 'role="alert"' in answer.text


def test_what_was_typed_is_never_markup(client: Client) -> None:
    answer = client.post(FORMULARIO, {**typed_form(), "rut": '"><script>alert(1)</script>'}, headers=PAGE)
    assert answer.status_code == 400
    assert "<script>alert" not in answer.text
    assert "style-src 'self';" in answer.headers["Content-Security-Policy"] + ";"
    assert "unsafe-inline" not in answer.headers["Content-Security-Policy"]
