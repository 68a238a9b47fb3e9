"""In a browser: a reviewer decides; the approved maestro logs in with the token from the mail."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.contrib.auth.models import Group
from django.db import connections
from django.utils import timezone
from playwright.sync_api import Page, expect
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from deploy.embedded.mailbox import Mailbox
from inscripciones.correos import envios
from inscripciones.models import Envio, Usuario
from inscripciones.seed import GRUPO
from tests.support.browser import BROWSER_TEST, chromium
from tests.support.people import make_form, make_paid_form, register

pytestmark = [
    *BROWSER_TEST,
    pytest.mark.slow,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("smtp"),
]


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> Iterator[Page]:
    # Playwright keeps an event loop in this thread.
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
    with chromium() as browser:
        yield browser.new_page(locale="es-CL", viewport={"width": 1280, "height": 900})
        # While the thread has an event loop, its connections are not those that pytest-django
        # closes.
        connections.close_all()


@pytest.fixture
def site(live_server: LiveServer, settings: Settings) -> str:
    settings.SITE_URL = live_server.url
    settings.STORAGES = {
        **settings.STORAGES,
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    }
    reviewer = Usuario.objects.create_user("revisora", password="huesillo", is_staff=True)
    reviewer.groups.add(Group.objects.get(name=GRUPO))
    return str(live_server.url)


def log_into_admin(page: Page, site: str) -> None:
    page.goto(f"{site}/admin/inscripciones/inscripcion/")
    page.fill("input[name=username]", "revisora")
    page.fill("input[name=password]", "huesillo")
    page.click("button[type=submit]")


def test_a_reviewer_decides_and_a_maestro_logs_in(page: Page, site: str, mailbox: Mailbox, tmp_path: Path) -> None:
    normal, paid = make_form(nombre="Normal"), make_paid_form(nombre="Pagada")
    register(normal, paid)
    log_into_admin(page, site)
    rows = page.locator("#result_list tbody tr")
    expect(rows).to_have_count(2)
    expect(rows.nth(0)).to_contain_text("Pagada")
    page.screenshot(path=tmp_path / "cola.png")
    # Approve the paid one from its page.
    page.get_by_role("link", name="Pagada").click()
    page.get_by_role("link", name="Aprobar").click()
    page.fill("textarea[name=motivo]", "La conozco del barrio.")
    page.screenshot(path=tmp_path / "aprobar.png")
    page.get_by_role("button", name="Aprobar").click()
    expect(page.get_by_text("Inscripciones aprobadas: 1.")).to_be_visible()
    page.screenshot(path=tmp_path / "aprobada.png")
    # Reject the other from the list.
    page.goto(f"{site}/admin/inscripciones/inscripcion/")
    page.locator("#result_list input[name=_selected_action]").check()
    page.select_option("select[name=action]", "rechazar_elegidas")
    page.get_by_role("button", name="Ejecutar").click()
    page.fill("textarea[name=motivo]", "Falta el apellido.")
    page.get_by_role("button", name="Rechazar").click()
    expect(page.get_by_text("Inscripciones rechazadas: 1.")).to_be_visible()
    page.goto(f"{site}/admin/inscripciones/inscripcion/numeros/")
    page.screenshot(path=tmp_path / "numeros.png", full_page=True)
    # Send the mails; paste the token on a phone.
    for envio in Envio.objects.all():
        assert envios.enviar(envio.pk, ahora=timezone.now())
    [rechazo] = mailbox.wait_for(to=normal["email"], subject="Tu inscripción en MAMOCHI")
    assert "Falta el apellido." in rechazo.text
    [mail] = mailbox.wait_for(to=paid["email"], subject="Tus credenciales de MAMOCHI")
    [token] = set(re.findall(r"mmc_[0-9a-f]{64}", mail.text))
    browser = page.context.browser
    assert browser
    phone = browser.new_context(locale="es-CL", viewport={"width": 390, "height": 844}).new_page()
    phone.set_content(mail.html)
    phone.screenshot(path=tmp_path / "correo.png", full_page=True)
    phone.goto(f"{site}/api/v1/tokens/")
    phone.get_by_role("link", name="Entrar con mi token").click()
    phone.screenshot(path=tmp_path / "entrar.png")
    phone.get_by_label("Tu token").fill(token)
    phone.get_by_role("button", name="Entrar").click()
    phone.wait_for_url(f"{site}/api/v1/tokens/")
    expect(phone.locator("main")).to_contain_text(token[:15])
    expect(phone.get_by_text("Pagada")).to_be_visible()
    phone.screenshot(path=tmp_path / "api.png", full_page=True)
    phone.get_by_role("button", name="Salir").click()
    phone.goto(f"{site}/api/v1/tokens/")
    expect(phone.get_by_role("heading")).to_have_text("Entra con tu token")


@pytest.mark.usefixtures("running_system")
def test_a_person_enrols_and_uses_the_api(page: Page, site: str, mailbox: Mailbox) -> None:
    """After the mail, each page that a phone needs is one tap away."""
    form = make_paid_form()
    page.goto(f"{site}/api/v1/inscripciones/")
    for field in ("nombre", "rut", "email", "telefono", "comuna", "comprobante_pago"):
        page.fill(f"input[name={field}]", form[field])
    page.check("input[name=paid]")
    page.get_by_role("button", name="Enviar mi inscripción").click()
    expect(page.get_by_role("status")).to_contain_text("Inscripción recibida")
    [mail] = mailbox.wait_for(to=form["email"], subject="Tus credenciales de MAMOCHI", timeout=60)
    [token] = set(re.findall(r"mmc_[0-9a-f]{64}", mail.text))
    page.goto(f"{site}/api/v1/stock/")
    page.get_by_role("link", name="Entrar con mi token").click()
    page.get_by_label("Tu token").fill(token)
    page.get_by_role("button", name="Entrar").click()
    page.get_by_role("button", name="Se me acabó").click()
    expect(page.get_by_role("status")).to_contain_text("Aviso recibido")
    page.get_by_role("link", name="Inicio").click()
    page.get_by_role("link", name="Mi token").click()
    page.get_by_role("button", name="Cambiar mi token").click()
    expect(page.get_by_role("status")).to_contain_text("ya no sirve")
    shown = re.findall(r"mmc_[0-9a-f]{64}", page.locator(".token").inner_text())
    assert len(shown) == 1
    assert shown != [token]
