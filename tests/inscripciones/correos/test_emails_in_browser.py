"""The e-mails about an enrolment in a browser: legible in light and dark, on a phone, alone."""

from collections.abc import Iterator
from typing import Any, Final
from uuid import UUID

import pytest
from playwright.sync_api import Browser, Request

from inscripciones.correos import emails
from inscripciones.models import Envio, Inscripcion
from tests.support.accessibility import violations
from tests.support.browser import BROWSER_TEST, chromium
from tests.support.people import NOW, make_form

pytestmark = [*BROWSER_TEST, pytest.mark.slow]
BACKGROUND: Final = {"light": "rgb(250, 245, 236)", "dark": "rgb(23, 17, 12)"}
TOKEN: Final = "mmc_" + "0a1b" * 16


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("tipo", Envio.Tipo.values)
def test_a_mail_is_legible(browser: Browser, tipo: str, scheme: Any) -> None:
    """It has a plain text with the same links, loads nothing, and fits a phone."""
    inscripcion = Inscripcion(id=UUID(int=1), recibida_en=NOW, motivo="No pudimos leer tu apellido.", **make_form())
    correo = emails.componer(Envio(tipo=tipo, inscripcion=inscripcion, message_id="<x@example.cl>"), token=TOKEN)
    [(html, kind)] = [(str(content), kind) for content, kind in correo.alternatives]
    assert kind == "text/html"
    assert "List-Unsubscribe" not in correo.message()
    page = browser.new_page(color_scheme=scheme, viewport={"width": 360, "height": 780})
    requests: list[Request] = []
    page.on("request", lambda request: requests.append(request))  # noqa: PLW0108 - Playwright needs a Python function
    page.set_content(html)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == BACKGROUND[scheme]
    for link in page.locator("a").all():
        assert str(link.get_attribute("href")) in str(correo.body)
    assert [found for found in violations(page) if "color-contrast" in found or "html-has-lang" in found] == []
    assert requests == []
    page.close()
