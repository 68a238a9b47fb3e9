"""In a browser: each role does its day's work from the home, without the menu."""

import re

import pytest
from playwright.sync_api import Page, expect

from inscripciones.models import Envio, Inscripcion, Maestro
from kafka_bridge.models import DeadLetter
from stock.models import Movimiento
from tests.mamochi_site.desk.conftest import Open
from tests.support.browser import BROWSER_TEST
from ventas.models import ReporteSemanal

pytestmark = [*BROWSER_TEST, pytest.mark.slow, pytest.mark.django_db(transaction=True)]


def tile(page: Page, what: str) -> int:
    """Return the number on a tile of the home."""
    return int(page.locator(".espera a", has_text=what).locator("strong").inner_text())


def open_tile(page: Page, what: str) -> None:
    """Go home and open the list behind a tile; the menu stays closed."""
    page.goto("/admin/")
    expect(page.locator("#nav-sidebar")).to_be_hidden()
    page.locator(".espera a", has_text=what).click()


def act(page: Page, name: str) -> None:
    """Use an action of the page of a row; on a phone they are behind a button."""
    page.wait_for_url("**/change/**")
    more = page.get_by_role("button", name="Acciones")
    if more.is_visible():
        more.click()
    page.get_by_role("link", name=name).click()


def run_on_first_row(page: Page, action: str) -> None:
    page.locator("input[name=_selected_action]").first.check()
    page.select_option("select[name=action]", action)
    page.get_by_role("button", name="Ejecutar").click()


@pytest.mark.parametrize("width", [390, 1_200])
def test_a_reviewers_day(open_as: Open, width: int) -> None:
    page = open_as("revisora", width=width)
    open_tile(page, "Paid por revisar")
    page.get_by_role("link", name="Gina").click()
    act(page, "Aprobar")
    page.fill("textarea[name=motivo]", "La conozco del barrio.")
    page.get_by_role("button", name="Aprobar").click()
    expect(page.get_by_text("Inscripciones aprobadas: 1.")).to_be_visible()
    page.goto("/admin/")
    assert tile(page, "Paid por revisar") == 0
    page.get_by_role("link", name="Hugo", exact=True).click()
    act(page, "Rechazar")
    page.fill("textarea[name=motivo]", "Falta el apellido.")
    page.get_by_role("button", name="Rechazar").click()
    expect(page.get_by_text("Inscripciones rechazadas: 1.")).to_be_visible()
    assert set(Inscripcion.objects.filter(nombre__in=["Gina", "Hugo"]).values_list("estado", flat=True)) == {
        "aprobada",
        "rechazada",
    }
    # The new maestro is found, with all that the reviewer may see.
    page.goto("/admin/")
    page.get_by_label("Buscar un maestro").fill("gina")
    page.get_by_role("button", name="Buscar", exact=True).click()
    page.get_by_role("link", name="Gina").click()
    expect(page.get_by_role("region", name="Correos de su inscripción")).to_contain_text("pendiente")
    # A mail that did not arrive is tried again.
    open_tile(page, "Correos que no llegaron")
    run_on_first_row(page, "reintentar")
    expect(page.get_by_text("1 correos por enviar ahora.")).to_be_visible()
    assert not Envio.objects.filter(estado=Envio.Estado.DETENIDO).exists()


def test_a_distributors_day(open_as: Open) -> None:
    page = open_as("distribuidor")
    soon = page.get_by_role("region", name="Carros por agotarse").get_by_role("listitem").first
    expect(soon).to_contain_text(re.compile(r"queda [\d.]+ .*, se acaba a las \d\d:\d\d"))
    name = soon.get_by_role("link").inner_text()
    soon.get_by_role("link").click()
    act(page, "Corregir el stock")
    page.select_option("select[name=insumo]", "mote")
    page.fill("input[name=cantidad]", "-50")
    page.fill("input[name=motivo]", "Se derramó.")
    page.get_by_role("button", name="Corregir").click()
    expect(page.get_by_text(f"Stock de {name} corregido.")).to_be_visible()
    assert Movimiento.objects.get(tipo=Movimiento.Tipo.CORRECCION).motivo == "Se derramó."
    open_tile(page, "Avisos abiertos")
    expect(page.locator("#result_list tbody tr")).to_have_count(12)
    open_tile(page, "Carros con algo agotado")
    expect(page.locator("#result_list tbody tr")).to_have_count(3)
    page.goto("/admin/")
    page.get_by_role("link", name="Todas las reposiciones").click()
    expect(page.locator("#result_list tbody tr")).to_have_count(3)


def test_an_accountants_day(open_as: Open) -> None:
    page = open_as("contadora")
    week = page.get_by_role("region", name="La semana").get_by_role("listitem").first
    expect(week).to_contain_text("abierta, se cierra el")
    week.get_by_role("link").click()
    expect(page.get_by_text("abierta").first).to_be_visible()
    open_tile(page, "Correos de la semana que no salieron")
    expect(page.get_by_text("550 5.1.1 no such user")).to_be_visible()
    run_on_first_row(page, "reenviar")
    expect(page.get_by_text("Se enviarán 1 correos.")).to_be_visible()
    assert ReporteSemanal.objects.filter(envio="pendiente").count() == 1
    page.goto("/admin/")
    assert tile(page, "Correos de la semana que no salieron") == 0
    page.get_by_role("link", name="Las ventas de la semana").click()
    expect(page.locator("#result_list tbody tr").first).to_contain_text("$2.000")


def test_an_operators_day(open_as: Open) -> None:
    page = open_as("operadora")
    page.get_by_role("link", name="Ver el panorama").click()
    expect(page.locator("[data-problems]")).to_be_visible()
    open_tile(page, "Mensajes no procesados")
    page.locator("#result_list tbody a").first.click()
    act(page, "Descartar")
    page.get_by_role("textbox").last.fill("Era una prueba.")
    page.get_by_role("button", name="Descartar").click()
    expect(page.get_by_text("descart").first).to_be_visible()
    assert DeadLetter.objects.get().state == DeadLetter.State.DISCARDED
    page.goto("/admin/")
    assert tile(page, "Mensajes no procesados") == 0


def test_a_maestros_page_leads_to_all_of_theirs(open_as: Open) -> None:
    page = open_as("operadora")
    maestro = Maestro.objects.get(nombre="Ana Rojas Vera")
    page.get_by_label("Buscar un maestro").fill("ñuñoa ana")
    page.keyboard.press("Enter")
    page.get_by_role("link", name="Ana Rojas Vera").click()
    for region, shown in (
        ("Inscripción", maestro.rut),
        ("Carro", "Corregir el stock"),
        ("Sus semanas y sus correos", "enviado"),
        ("Últimas ventas", "mediano"),
        ("Correos de su inscripción", "detenido"),
        ("Eventos", "aprobacion"),
    ):
        page.get_by_role("region", name=region, exact=True).get_by_role("link").first.click()
        expect(page.locator("#main")).to_contain_text(shown)
        page.go_back()
