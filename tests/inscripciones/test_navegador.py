"""In a browser: a reviewer decides, and the maestro who was approved uses the token that the mail brought."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.apps import apps
from django.contrib.auth.models import Group
from django.db import connections, transaction
from django.utils import timezone
from playwright.sync_api import Page, expect
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from deploy.embedded.mailbox import Mailbox
from inscripciones import envios, recepcion
from inscripciones.models import Envio, Usuario
from inscripciones.seed import GRUPO, sembrar
from tests.support.browser import BROWSER_TEST, chromium
from tests.support.people import AHORA, evento, formulario, pagado

pytestmark = [
    *BROWSER_TEST,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("smtp"),
]


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> Iterator[Page]:
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")  # Playwright keeps an event loop in this thread
    with chromium() as browser:
        yield browser.new_page(locale="es-CL", viewport={"width": 1280, "height": 900})
        connections.close_all()  # those of this thread while it has an event loop are others than pytest-django's


@pytest.fixture
def sitio(live_server: LiveServer, settings: Settings) -> str:
    sembrar(apps)
    settings.SITE_URL = live_server.url
    settings.STORAGES = {
        **settings.STORAGES,
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    }
    revisora = Usuario.objects.create_user("revisora", password="huesillo", is_staff=True)
    revisora.groups.add(Group.objects.get(name=GRUPO))
    return str(live_server.url)


def entrar_al_admin(page: Page, sitio: str) -> None:
    page.goto(f"{sitio}/admin/inscripciones/inscripcion/")
    page.fill("input[name=username]", "revisora")
    page.fill("input[name=password]", "huesillo")
    page.click("button[type=submit]")


def test_a_reviewer_decides_and_the_maestro_gets_in(page: Page, sitio: str, mailbox: Mailbox, tmp_path: Path) -> None:
    normal, paid = formulario(nombre="Normal"), pagado(nombre="Pagada")
    with transaction.atomic():
        recepcion.registrar([evento(normal), evento(paid)], ahora=AHORA)
    entrar_al_admin(page, sitio)
    filas = page.locator("#result_list tbody tr")
    expect(filas).to_have_count(2)
    expect(filas.nth(0)).to_contain_text("Pagada")
    page.screenshot(path=tmp_path / "cola.png")
    # approves the Paid one from its page
    page.get_by_role("link", name="Pagada").click()
    page.get_by_role("link", name="Aprobar").click()
    page.fill("textarea[name=motivo]", "La conozco del barrio.")
    page.screenshot(path=tmp_path / "aprobar.png")
    page.get_by_role("button", name="Aprobar").click()
    expect(page.get_by_text("Inscripciones aprobadas: 1.")).to_be_visible()
    page.screenshot(path=tmp_path / "aprobada.png")
    # rejects the other from the list
    page.goto(f"{sitio}/admin/inscripciones/inscripcion/")
    page.locator("#result_list input[name=_selected_action]").check()
    page.select_option("select[name=action]", "rechazar_elegidas")
    page.get_by_role("button", name="Ejecutar").click()
    page.fill("textarea[name=motivo]", "Falta el apellido.")
    page.get_by_role("button", name="Rechazar").click()
    expect(page.get_by_text("Inscripciones rechazadas: 1.")).to_be_visible()
    page.goto(f"{sitio}/admin/inscripciones/inscripcion/numeros/")
    page.screenshot(path=tmp_path / "numeros.png", full_page=True)
    # the mails go out; the maestro pastes the token on a phone
    for envio in Envio.objects.all():
        assert envios.enviar(envio.pk, ahora=timezone.now())
    [rechazo] = mailbox.wait_for(to=normal["email"], subject="Tu inscripción en MAMOCHI")
    assert "Falta el apellido." in rechazo.text
    [mail] = mailbox.wait_for(to=paid["email"], subject="Tus credenciales de MAMOCHI")
    [token] = set(re.findall(r"mmc_[0-9a-f]{64}", mail.text))
    browser = page.context.browser
    assert browser
    telefono = browser.new_context(locale="es-CL", viewport={"width": 390, "height": 844}).new_page()
    telefono.set_content(mail.html)
    telefono.screenshot(path=tmp_path / "correo.png", full_page=True)
    telefono.goto(f"{sitio}/api/v1/tokens/")
    telefono.get_by_role("link", name="Entrar").click()
    telefono.screenshot(path=tmp_path / "entrar.png")
    telefono.get_by_label("Tu token").fill(token)
    telefono.get_by_role("button", name="Entrar").click()
    telefono.wait_for_url(f"{sitio}/api/v1/tokens/")
    expect(telefono.locator(".response-info")).to_contain_text(token[:15])
    expect(telefono.get_by_text("Pagada")).to_be_visible()
    telefono.screenshot(path=tmp_path / "api.png", full_page=True)
    telefono.get_by_role("button", name="Salir").click()
    telefono.goto(f"{sitio}/api/v1/tokens/")
    expect(telefono.locator(".response-info")).to_contain_text("401")


@pytest.mark.usefixtures("sistema")
def test_a_person_enrols_gets_in_gives_notice_and_changes_the_token(page: Page, sitio: str, mailbox: Mailbox) -> None:
    """From the form to the mail by way of Kafka and the worker; then what a phone needs is one tap away."""
    form = pagado()
    page.goto(f"{sitio}/api/v1/inscripciones/")
    for campo in ("nombre", "rut", "email", "telefono", "comuna", "comprobante_pago"):
        page.fill(f"input[name={campo}]", form[campo])
    page.check("input[name=paid]")
    page.get_by_role("button", name="Enviar").first.click()
    expect(page.locator(".response-info")).to_contain_text("HTTP 202")
    [mail] = mailbox.wait_for(to=form["email"], subject="Tus credenciales de MAMOCHI", timeout=60)
    [token] = set(re.findall(r"mmc_[0-9a-f]{64}", mail.text))
    page.goto(f"{sitio}/api/v1/stock/avisos/")
    page.get_by_role("link", name="Entrar").click()
    page.get_by_label("Tu token").fill(token)
    page.get_by_role("button", name="Entrar").click()
    page.get_by_role("button", name="Enviar").first.click()
    expect(page.locator(".response-info")).to_contain_text("HTTP 202")
    page.get_by_role("link", name="Mi token").click()
    page.get_by_role("button", name="Cambiar mi token").click()
    expect(page.locator(".response-info")).to_contain_text("HTTP 201")
    nuevo = re.findall(r"mmc_[0-9a-f]{64}", page.locator(".response-info").inner_text())
    assert len(nuevo) == 1
    assert nuevo != [token]
