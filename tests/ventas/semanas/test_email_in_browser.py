"""In a browser: the weekly mail on a phone. `PICTURES=docs` keeps its picture there."""

import os
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from uuid import UUID

import pytest
from django.core.mail import EmailMultiAlternatives
from playwright.sync_api import Page, Request

from tests.support.browser import BROWSER_TEST, chromium
from ventas import calendario
from ventas.models import Cuenta, ReporteSemanal
from ventas.semanas import emails
from ventas.semanas.reports import Dia, Resumen

pytestmark = BROWSER_TEST
W47 = date(2026, 11, 16)
VENTAS = [14, 11, 0, 19, 27, 41, 33]
NOMBRES = {
    "chico": "Mote con huesillo chico",
    "mediano": "Mote con huesillo mediano",
    "grande": "Mote con huesillo grande",
}


@pytest.fixture
def telefono() -> Iterator[Page]:
    with chromium() as browser:
        yield browser.new_page(locale="es-CL", viewport={"width": 360, "height": 780}, device_scale_factor=2)


def semana() -> EmailMultiAlternatives:
    """The mail of a good week, with an adjustment and a week before."""
    por_dia = [
        Dia(
            dia=dia.isoformat(),
            cantidad_ventas=ventas,
            unidades=ventas * 2,
            ingresos=ventas * 4_000,
            ganancias=ventas * 2_780,
        )
        for dia, ventas in zip(calendario.dias(W47), VENTAS, strict=True)
    ]
    totales = {
        "cantidad_ventas": sum(VENTAS) - 1,
        "unidades": sum(VENTAS) * 2 - 1,
        "ingresos": sum(VENTAS) * 4_000 - 2_000,
        "ganancias": sum(VENTAS) * 2_780 - 1_390,
        "ajuste_ventas": -1,
        "ajuste_unidades": -1,
        "ajuste_ingresos": -2_000,
        "ajuste_ganancias": -1_390,
    }
    resumen = Resumen(
        **totales, tardias=0, anuladas=1, por_dia=por_dia, por_producto={"chico": 61, "mediano": 148, "grande": 80}
    )
    maestro = UUID(int=1)
    reporte = ReporteSemanal(semana_id=W47, maestro_id=maestro, **totales)
    anterior = ReporteSemanal(semana_id=W47 - calendario.SEMANA, maestro_id=maestro, ganancias=360_000)
    cuenta = Cuenta(
        maestro_id=maestro,
        nombre="Rosa Ñáñez Peña",
        email="rosa@example.cl",
        abierta_en=datetime(2026, 1, 1, tzinfo=UTC),
    )
    return emails.componer(
        emails.Carta(reporte=reporte, resumen=resumen, cuenta=cuenta, anterior=anterior, nombres=NOMBRES)
    )


def test_the_mail_fits_a_phone_and_asks_the_network_for_nothing(telefono: Page, tmp_path: Path) -> None:
    asked: list[Request] = []
    telefono.on("request", lambda request: asked.append(request))  # noqa: PLW0108 - Playwright wants a function of Python
    [html] = [str(contenido) for contenido, _ in semana().alternatives]
    telefono.set_content(html)
    assert telefono.evaluate("document.documentElement.scrollWidth") <= 360
    barras = telefono.locator("td[bgcolor]")
    anchos = [round(barra["width"]) for n in range(barras.count()) if (barra := barras.nth(n).bounding_box())]
    assert len(anchos) == sum(1 for ventas in VENTAS if ventas)  # a day without sales has none
    assert max(anchos) == anchos[4]  # Saturday's, after the day without
    assert anchos[0] == pytest.approx(max(anchos) * 14 / 41, abs=4)
    for texto in telefono.locator("td, p, h1, h2").all():
        size = float(texto.evaluate("e => parseFloat(getComputedStyle(e).fontSize)"))
        assert size >= 13 or not texto.inner_text().strip()
    assert asked == []
    telefono.screenshot(path=Path(os.environ.get("PICTURES", tmp_path)) / "correo-semanal.png", full_page=True)
