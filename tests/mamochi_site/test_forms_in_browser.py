"""In a browser: a form that is reloaded, tapped twice or sent again counts once."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Final
from uuid import UUID, uuid4

import pytest
from django.contrib.auth import get_user_model
from django.db import connections
from django.test import Client
from django.utils import timezone
from playwright.sync_api import Page, expect
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from kafka_bridge.models import Claim
from kafka_bridge.publishing import producer
from tests.support import sales
from tests.support.browser import BROWSER_TEST, chromium
from tests.support.people import make_form
from tests.support.sales import enter, sale
from ventas.catalogo import memoria

pytestmark = [*BROWSER_TEST, pytest.mark.slow, pytest.mark.django_db(transaction=True)]
MAESTRO: Final = uuid4()
SENT: Final = "Venta recibida"


@pytest.fixture
def published(kafka: str, monkeypatch: pytest.MonkeyPatch) -> set[UUID]:
    """Return the ids of the events that the site publishes; a repeated one is the same event."""
    sales.prepare_topics()
    ids: set[UUID] = set()
    encode: Any = vars(producer)["encode"]

    def noting(event: Any) -> Any:
        ids.add(event.id)
        return encode(event)

    monkeypatch.setattr(producer, "encode", noting)
    return ids


@pytest.fixture
def site(live_server: LiveServer, settings: Settings, published: set[UUID]) -> str:
    memoria.olvidar()
    storage = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    settings.STORAGES = {**settings.STORAGES, "staticfiles": storage}
    return str(live_server.url)


@pytest.fixture
def page(site: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Page]:
    """Return a page of a maestro's browser, logged in."""
    # Playwright keeps an event loop in this thread.
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
    client = Client()
    client.force_login(
        get_user_model().objects.create_user(username="maestro", maestro_id=MAESTRO),
        backend="django.contrib.auth.backends.ModelBackend",
    )
    with chromium() as browser:
        context = browser.new_context(locale="es-CL", base_url=site)
        context.add_cookies([{"name": "sessionid", "value": client.cookies["sessionid"].value, "url": site}])
        yield context.new_page()
        connections.close_all()


def send(page: Page, cantidad: int = 2) -> None:
    page.get_by_label("¿Cuántos?").fill(str(cantidad))
    page.get_by_role("button", name="Mediano").click()


def test_a_reloaded_sale_counts_once(page: Page, published: set[UUID]) -> None:
    page.goto("/api/v1/ventas/")
    send(page)
    expect(page.get_by_role("status")).to_contain_text(SENT)
    page.reload()
    expect(page.locator(".lista li")).to_contain_text(["2 × Mediano"])
    expect(page.locator(".lista li")).to_contain_text(["recibida"])
    assert len(published) == 1


def test_a_sale_that_is_sent_again_counts_once(page: Page, published: set[UUID]) -> None:
    """Back, and send: the browser may show the page that it kept, or load it again."""
    page.goto("/api/v1/ventas/")
    send(page)
    expect(page.get_by_role("status")).to_contain_text(SENT)
    page.go_back()
    send(page)
    expect(page.get_by_role("status")).to_contain_text("cuenta una sola vez")
    assert len(published) == 1
    # The same form with other values is neither lost nor a second sale: the person is asked.
    page.go_back()
    send(page, cantidad=3)
    expect(page.get_by_role("alert")).to_contain_text("¿Es otra venta?")
    expect(page.get_by_role("alert")).to_contain_text("Antes llegó 2; ahora, 3.")
    expect(page.get_by_label("¿Cuántos?")).to_have_value("3")
    # The form of the new page is another sale.
    page.get_by_role("button", name="Mediano").click()
    expect(page.get_by_role("status")).to_contain_text(SENT)
    assert len(published) == 2


def test_a_double_click_counts_once(page: Page, published: set[UUID]) -> None:
    page.goto("/api/v1/ventas/")
    with page.expect_request(lambda request: request.method == "POST"):
        page.get_by_role("button", name="Mediano").dblclick()
    expect(page.get_by_role("status")).to_contain_text(SENT)
    assert len(published) == Claim.objects.count() == 1


def test_two_forms_are_two_sales(page: Page, published: set[UUID]) -> None:
    page.goto("/api/v1/ventas/")
    for n in (1, 2):
        send(page)
        expect(page.get_by_role("status")).to_contain_text(SENT)
        expect(page.locator(".lista li")).to_have_count(n)
        assert len(published) == n


def test_a_late_sale_has_its_own_moment(page: Page, published: set[UUID]) -> None:
    yesterday = timezone.localtime() - timedelta(days=1)
    page.goto("/api/v1/ventas/")
    page.get_by_text("La vendí antes, no ahora").click()
    page.get_by_label("Cuándo la vendiste").fill(yesterday.strftime("%Y-%m-%dT15:04"))
    send(page)
    expect(page.get_by_role("status")).to_contain_text(SENT)
    expect(page.get_by_role("heading", name="Ayer")).to_be_visible()
    expect(page.locator(".lista .estado")).to_have_text(["15:04 · recibida"])
    expect(page.locator(".cuenta")).to_contain_text("$0")
    assert len(published) == 1


def test_a_reloaded_notice_counts_once(page: Page, published: set[UUID]) -> None:
    page.goto("/api/v1/stock/")
    for _ in range(2):
        page.get_by_label("Se me acabó el mote").check()
        page.get_by_role("button", name="Se me acabó").click()
        expect(page.get_by_role("status")).to_contain_text("Aviso recibido")
        page.reload()
        page.go_back()
    assert len(published) == 1


def test_a_void_leads_back_to_its_sale(page: Page, published: set[UUID]) -> None:
    enter(sold := sale(MAESTRO))
    page.goto("/api/v1/ventas/")
    page.get_by_role("link", name="Anular 1 × Mediano").click()
    page.get_by_label("Por qué").fill("me equivoqué")
    page.get_by_role("button", name="Anular esta venta").click()
    expect(page.get_by_role("status")).to_contain_text("Anulación recibida")
    page.reload()
    assert page.url.endswith(f"/api/v1/ventas/{sold.venta_id}/")
    expect(page.locator(".datos")).to_contain_text("Anulación recibida")
    assert len(published) == 1


def test_an_enrolment_leads_to_its_page(page: Page, published: set[UUID]) -> None:
    page.context.clear_cookies()
    form = make_form()
    page.goto("/api/v1/inscripciones/")
    for field in ("nombre", "rut", "email", "telefono", "comuna"):
        page.fill(f"input[name={field}]", form[field])
    page.get_by_role("button", name="Enviar mi inscripción").click()
    expect(page.get_by_role("status")).to_contain_text("Inscripción recibida")
    page.reload()
    expect(page.locator(".pasos li").first).to_contain_text("Recibida")
    assert len(published) == 1


def test_what_was_typed_outlives_a_session(page: Page, published: set[UUID]) -> None:
    """The page of the failure sends the sale again once the person has logged in."""
    page.goto("/api/v1/ventas/")
    [session] = [cookie for cookie in page.context.cookies() if cookie["name"] == "sessionid"]
    page.context.clear_cookies(name="sessionid")
    send(page, cantidad=4)
    expect(page.get_by_role("heading").first).to_have_text("No se envió")
    expect(page.get_by_role("alert")).to_contain_text("Tu sesión terminó")
    expect(page.locator("dl")).to_contain_text("mediano")
    page.context.add_cookies([session])  # type: ignore[list-item]  # a cookie as the browser told it
    page.get_by_role("button", name="Enviar de nuevo").click()
    expect(page.get_by_role("status")).to_contain_text(SENT)
    expect(page.locator(".lista li")).to_contain_text(["4 × Mediano"])
    assert len(published) == 1
