"""The weekly e-mail on a phone, in a browser. `PICTURES=docs` stores its picture there."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest
from django.core.mail import EmailMultiAlternatives
from playwright.sync_api import Page, Request

from tests.support.accessibility import violations
from tests.support.browser import BROWSER_TEST, chromium
from tests.support.sales import W47
from ventas import calendario
from ventas.models import Cuenta, ReporteSemanal
from ventas.semanas import emails
from ventas.semanas.reports import Dia, Resumen

pytestmark = BROWSER_TEST
SALES = [14, 11, 0, 19, 27, 41, 33]  # by day
NAMES = {
    "chico": "Mote con huesillo chico",
    "mediano": "Mote con huesillo mediano",
    "grande": "Mote con huesillo grande",
}


@pytest.fixture
def phone() -> Iterator[Page]:
    with chromium() as browser:
        yield browser.new_page(locale="es-CL", viewport={"width": 360, "height": 780}, device_scale_factor=2)


def mail_of_a_good_week() -> EmailMultiAlternatives:
    """Return the e-mail of a week with an adjustment, and with a week before."""
    por_dia = [
        Dia(
            dia=day.isoformat(),
            cantidad_ventas=sales,
            unidades=sales * 2,
            ingresos=sales * 4_000,
            ganancias=sales * 2_780,
        )
        for day, sales in zip(calendario.dias(W47), SALES, strict=True)
    ]
    totals = {
        "cantidad_ventas": sum(SALES) - 1,
        "unidades": sum(SALES) * 2 - 1,
        "ingresos": sum(SALES) * 4_000 - 2_000,
        "ganancias": sum(SALES) * 2_780 - 1_390,
        "ajuste_ventas": -1,
        "ajuste_unidades": -1,
        "ajuste_ingresos": -2_000,
        "ajuste_ganancias": -1_390,
    }
    resumen = Resumen(
        **totals, tardias=0, anuladas=1, por_dia=por_dia, por_producto={"chico": 61, "mediano": 148, "grande": 80}
    )
    maestro_id = UUID(int=1)
    cuenta = Cuenta(
        maestro_id=maestro_id,
        nombre="Rosa Ñáñez Peña",
        email="rosa@example.cl",
        abierta_en=datetime(2026, 1, 1, tzinfo=UTC),
    )
    return emails.componer(
        emails.Carta(
            reporte=ReporteSemanal(semana_id=W47, maestro_id=maestro_id, **totals),
            resumen=resumen,
            cuenta=cuenta,
            anterior=ReporteSemanal(semana_id=W47 - calendario.SEMANA, maestro_id=maestro_id, ganancias=360_000),
            nombres=NAMES,
        )
    )


@pytest.mark.slow
def test_the_mail_fits_a_phone(phone: Page, tmp_path: Path) -> None:
    """It also loads nothing from the network."""
    requests: list[Request] = []
    phone.on("request", lambda request: requests.append(request))  # noqa: PLW0108 - Playwright needs a Python function
    [html] = [str(content) for content, _ in mail_of_a_good_week().alternatives]
    phone.set_content(html)
    assert phone.evaluate("document.documentElement.scrollWidth") <= 360
    bars = phone.locator("td[bgcolor]")
    widths = [round(box["width"]) for n in range(bars.count()) if (box := bars.nth(n).bounding_box())]
    assert len(widths) == sum(1 for sales in SALES if sales)  # a day without sales has no bar
    assert max(widths) == widths[4]  # Saturday's: the fifth bar, because Wednesday has none
    assert widths[0] == pytest.approx(max(widths) * 14 / 41, abs=4)
    for text in phone.locator("td, p, h1, h2").all():
        size = float(text.evaluate("e => parseFloat(getComputedStyle(e).fontSize)"))
        assert size >= 13 or not text.inner_text().strip()
    assert requests == []
    phone.screenshot(path=Path(os.environ.get("PICTURES", tmp_path)) / "correo-semanal.png", full_page=True)


@pytest.mark.slow
def test_the_mail_is_legible_in_the_dark(phone: Page, tmp_path: Path) -> None:
    [html] = [str(content) for content, _ in mail_of_a_good_week().alternatives]
    for scheme in ("light", "dark"):
        phone.emulate_media(color_scheme=scheme)
        phone.set_content(html)
        assert [found for found in violations(phone) if "color-contrast" in found] == []
    assert phone.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(23, 17, 12)"
    phone.screenshot(path=Path(os.environ.get("PICTURES", tmp_path)) / "correo-semanal-oscuro.png", full_page=True)
