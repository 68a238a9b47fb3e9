"""In a browser: a form of the API that is reloaded, clicked twice or sent again counts once."""

from collections.abc import Iterator
from functools import partial
from typing import Any, Final
from uuid import UUID, uuid4

import pytest
from django.contrib.auth import get_user_model
from django.db import connections
from django.test import Client
from playwright.sync_api import Page, expect
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from deploy.embedded.waiting import wait_until
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
SECONDS: Final = 30.0


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


def fill(page: Page, cantidad: int = 2) -> None:
    page.select_option("select[name=producto]", "mediano")
    page.fill("input[name=cantidad]", str(cantidad))


def send(page: Page) -> None:
    page.get_by_role("button", name="Enviar").first.click()


def test_a_reloaded_sale_counts_once(page: Page, published: set[UUID]) -> None:
    page.goto("/api/v1/ventas/")
    fill(page)
    send(page)
    expect(page.get_by_role("status")).to_contain_text(SENT)
    page.reload()
    expect(page.locator("#post-object-form")).to_be_visible()
    assert len(published) == 1


def test_a_sale_that_is_sent_again_counts_once(page: Page, published: set[UUID]) -> None:
    """Back, and send: the browser may show the page that it kept, or load it again."""
    page.goto("/api/v1/ventas/")
    fill(page)
    send(page)
    expect(page.get_by_role("status")).to_contain_text(SENT)
    page.go_back()
    fill(page)
    send(page)
    expect(page.get_by_role("status")).to_contain_text("cuenta una sola vez")
    assert len(published) == 1
    # The same form with other values is neither lost nor a second sale: the person is asked.
    page.go_back()
    fill(page, cantidad=3)
    send(page)
    expect(page.locator(".response-info")).to_contain_text("HTTP 422")
    # The form of the new page is another sale.
    fill(page, cantidad=3)
    send(page)
    expect(page.get_by_role("status")).to_contain_text(SENT)
    assert len(published) == 2


def test_a_double_click_counts_once(page: Page, published: set[UUID]) -> None:
    page.goto("/api/v1/ventas/")
    fill(page)
    with page.expect_request(lambda request: request.method == "POST"):
        page.get_by_role("button", name="Enviar").first.dblclick()
    expect(page.get_by_role("status")).to_contain_text("Venta recibida")
    assert len(published) == Claim.objects.count() == 1


def test_two_forms_are_two_sales(page: Page, published: set[UUID]) -> None:
    page.goto("/api/v1/ventas/")
    for n in (1, 2):
        fill(page)
        send(page)
        expect(page.get_by_role("status")).to_contain_text(SENT)
        assert len(published) == n


def test_a_reloaded_notice_counts_once(page: Page, published: set[UUID]) -> None:
    page.goto("/api/v1/stock/avisos/")
    send(page)
    expect(page.get_by_role("status")).to_contain_text("Aviso recibido")
    page.reload()
    page.go_back()
    send(page)
    expect(page.get_by_role("status")).to_contain_text("Aviso recibido")
    assert len(published) == 1


def test_a_void_leads_back_to_its_sale(page: Page, published: set[UUID]) -> None:
    enter(sold := sale(MAESTRO))
    page.goto(f"/api/v1/ventas/{sold.venta_id}/anular/")
    page.fill("input[name=motivo]", "me equivoqué")
    send(page)
    expect(page.get_by_role("status")).to_contain_text("Anulación recibida")
    page.reload()
    assert page.url.endswith(f"/api/v1/ventas/{sold.venta_id}/")
    assert len(published) == 1


def test_an_enrolment_leads_to_its_page(page: Page, published: set[UUID]) -> None:
    page.context.clear_cookies()
    form = make_form()
    page.goto("/api/v1/inscripciones/")
    for field in ("nombre", "rut", "email", "telefono", "comuna"):
        page.fill(f"input[name={field}]", form[field])
    send(page)
    expect(page.get_by_role("status")).to_contain_text("Inscripción recibida")
    page.reload()
    expect(page.locator(".response-info")).to_contain_text("recibida")
    assert len(published) == 1


def are_claimed(sales: int) -> bool:
    return Claim.objects.count() == sales


def test_json_that_is_sent_twice_counts_once(page: Page, published: set[UUID]) -> None:
    """The tab for JSON sends by a script, not as a form."""
    page.goto("/api/v1/ventas/")
    for n in (1, 2):  # the page of the first answer sends another sale
        page.click("a[name=raw-tab]")
        page.fill("textarea[name=_content]", '{"producto": "mediano", "cantidad": 2}')
        page.locator("#post-generic-content-form").get_by_role("button", name="Enviar").dblclick()
        wait_until(partial(are_claimed, n), SECONDS)
        page.wait_for_load_state("networkidle")
        expect(page.get_by_role("status")).to_contain_text(SENT)
        assert len(published) == Claim.objects.count() == n
