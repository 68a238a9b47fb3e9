"""The pages for people in a browser: accessible, legible on a phone, in light and dark.

`PICTURES=docs/paginas` stores a picture of each page there, of a phone and of a desk.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import msgspec
import pytest
import time_machine
from django import conf
from django.db import connections, transaction
from django.test import Client
from PIL import Image
from playwright.sync_api import Browser, Page, expect
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from inscripciones import credenciales
from inscripciones.models import Inscripcion, Usuario
from inscripciones.tramite import revision
from kafka_bridge.exceptions import Unavailable
from stock import consumers as stock_consumers
from tests.stock.carts import approval, notice
from tests.support.accessibility import violations
from tests.support.browser import BROWSER_TEST, chromium
from tests.support.people import make_event, make_form, make_paid_form, register
from tests.support.sales import enter, sale, void_of
from ventas import calendario
from ventas.api import aceptacion
from ventas.catalogo import memoria
from ventas.events import VentaRegistrada
from ventas.models import Cuenta
from ventas.semanas import baja

pytestmark = [*BROWSER_TEST, pytest.mark.slow, pytest.mark.django_db(transaction=True)]
NOW: Final = datetime(2026, 11, 25, 15, 12, tzinfo=calendario.CHILE)
PHONE: Final = {"width": 390, "height": 844}
SCREENS: Final[dict[str, dict[str, Any]]] = {
    "telefono": {"viewport": PHONE},
    "telefono-oscuro": {"viewport": PHONE, "color_scheme": "dark"},
    "escritorio": {"viewport": {"width": 1280, "height": 900}},
}
OTHERS: Final = ("telefono-oscuro", "escritorio")
COLOURS: Final = 64  # enough for flat areas and text; a third of the bytes
TALLEST: Final = 1_400  # of a picture
NARROW: Final = 320  # CSS pixels: a phone of 640 at 200 %, or a desk of 1280 at 400 %
INSUMOS: Final = {
    "chico": {"mote": 100, "huesillo": 1, "jugo": 200, "vaso": 1},
    "mediano": {"mote": 150, "huesillo": 2, "jugo": 300, "vaso": 1},
    "grande": {"mote": 200, "huesillo": 3, "jugo": 400, "vaso": 1},
}
PRECIOS: Final = {"chico": (1_500, 360), "mediano": (2_000, 610), "grande": (2_500, 840)}


@dataclass(frozen=True)
class World:
    """The addresses of a maestro's pages and of the public ones, by the name of their picture."""

    url: str
    session: str
    maestro: dict[str, str]
    public: dict[str, str]


def sold(maestro_id: UUID, producto: str, momento: datetime, cantidad: int = 1) -> VentaRegistrada:
    precio, costo = PRECIOS[producto]
    return sale(
        maestro_id,
        producto=producto,
        cantidad=cantidad,
        precio_unitario=precio,
        costo_unitario=costo,
        insumos={insumo: amount * cantidad for insumo, amount in INSUMOS[producto].items()},
        vendida_en=momento,
        time=momento,
    )


def sales_of_a_week(maestro_id: UUID) -> list[VentaRegistrada]:
    """Return sales of Monday to Wednesday, the last ones of the past hour."""
    products = ("mediano", "chico", "grande", "mediano", "mediano")
    monday = [sold(maestro_id, products[n % 5], NOW - timedelta(days=2, minutes=11 * n)) for n in range(14)]
    tuesday = [sold(maestro_id, products[n % 5], NOW - timedelta(days=1, minutes=9 * n)) for n in range(19)]
    today = [sold(maestro_id, products[n % 5], NOW - timedelta(minutes=6 * n + 3)) for n in range(7)]
    return [*monday, *tuesday, *today]


@pytest.fixture
def world(live_server: LiveServer, settings: Settings) -> Iterator[World]:
    settings.REVISION_AUTOMATICA = True
    settings.SITE_URL = live_server.url
    settings.STORAGES = {
        **settings.STORAGES,
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    }
    memoria.olvidar()
    with time_machine.travel(NOW):
        [aprobada] = register(make_form(nombre="Rosa Ñáñez Peña"))
        settings.REVISION_AUTOMATICA = False
        en_revision, rechazada = register(make_paid_form(), make_form())
        revisora = Usuario.objects.create_user("revisora", is_staff=True)
        revision.rechazar([rechazada.pk], por=revisora, motivo="No pudimos leer tu apellido.", ahora=NOW)
        yield make_world(live_server.url, aprobada, en_revision, rechazada)


def make_world(url: str, aprobada: Inscripcion, en_revision: Inscripcion, rechazada: Inscripcion) -> World:
    usuario = Usuario.objects.get(maestro__inscripcion=aprobada)
    assert usuario.maestro_id
    sales = sales_of_a_week(usuario.maestro_id)
    with transaction.atomic():
        stock_consumers.abrir_carros([approval(usuario.maestro_id)])
        stock_consumers.descontar_ventas(sales[-7:])
        stock_consumers.reponer_carros([msgspec.structs.replace(notice(usuario.maestro_id, "jugo"), time=NOW)])
    enter(*sales)
    enter(void_of(sales[-3], NOW))
    credenciales.emitir(usuario)  # it ends older sessions
    client = Client()
    client.force_login(usuario, backend="django.contrib.auth.backends.ModelBackend")
    inscripciones = {
        "inscripcion-recibida": make_event(make_form()).inscripcion_id,
        "inscripcion-en-revision": en_revision.pk,
        "inscripcion-aprobada": aprobada.pk,
        "inscripcion-rechazada": rechazada.pk,
    }
    return World(
        url,
        client.cookies["sessionid"].value,
        {
            "inicio": "",
            "vender": "ventas/",
            "venta": f"ventas/{sales[-1].venta_id}/",
            "ventas-antes": "ventas/?hasta=2026-11-23",
            "mi-semana": "ventas/resumen/",
            "mi-carro": "stock/",
            "avisos": "stock/avisos/",
            "movimientos": "stock/movimientos/",
            "precios": "productos/",
            "token": "tokens/",
            "no-esta": f"ventas/{UUID(int=1)}/",
        },
        {
            "bienvenida": "",
            "inscribirse": "inscripciones/",
            "entrar": "entrar/",
            "sin-sesion": "ventas/",
            "no-existe": "nada/",
            **{name: f"inscripciones/{id_}/" for name, id_ in inscripciones.items()},
        },
    )


@pytest.fixture
def browser(monkeypatch: pytest.MonkeyPatch) -> Iterator[Browser]:
    # Playwright keeps an event loop in this thread.
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
    with chromium() as running:
        yield running
        connections.close_all()


def open_page(browser: Browser, world: World, *, logged_in: bool, **options: Any) -> Page:
    context = browser.new_context(locale="es-CL", timezone_id="America/Santiago", base_url=world.url, **options)
    if logged_in:
        context.add_cookies([{"name": "sessionid", "value": world.session, "url": world.url}])
    return context.new_page()


def visit(page: Page, addresses: dict[str, str], folder: Path, suffix: str) -> list[str]:
    """Open each page, store its picture, and return what is wrong with it."""
    wrong = []
    for name, path in addresses.items():
        page.goto(f"/api/v1/{path}")
        wrong += look_at(page, folder / f"{name}-{suffix}.png")
    return wrong


def look_at(page: Page, picture: Path) -> list[str]:
    """Store a picture of the whole page, with its menu at the end, and return what is wrong."""
    size = page.viewport_size
    assert size
    height = page.evaluate("document.documentElement.scrollHeight")
    page.set_viewport_size({"width": size["width"], "height": min(height, TALLEST)})
    page.screenshot(path=picture)
    with Image.open(picture) as drawn:
        drawn.convert("RGB").quantize(COLOURS).save(picture, optimize=True)
    page.set_viewport_size(size)
    width, wide = page.evaluate("[innerWidth, document.documentElement.scrollWidth]")
    return [*violations(page), *([f"{page.url} is {wide} px wide on {width} px"] if wide > width else [])]


@pytest.mark.parametrize("suffix", ["telefono", *(pytest.param(s, marks=pytest.mark.chaos) for s in OTHERS)])
def test_every_page_is_accessible(browser: Browser, world: World, tmp_path: Path, suffix: str) -> None:
    options = SCREENS[suffix]
    folder = tmp_path if "color_scheme" in options else Path(os.environ.get("PICTURES", tmp_path))
    visitor = open_page(browser, world, logged_in=False, **options)
    wrong = visit(visitor, world.public, folder, suffix)
    # The form with what is wrong with it; the first error has the focus.
    visitor.goto("/api/v1/inscripciones/")
    visitor.get_by_label("Nombre").fill("Rosa Ñáñez")
    visitor.get_by_label("RUT").fill("12.345.678-9")
    visitor.get_by_role("button", name="Enviar mi inscripción").click()
    expect(visitor.get_by_role("alert")).to_be_focused()
    expect(visitor.get_by_label("Nombre")).to_have_value("Rosa Ñáñez")
    wrong += look_at(visitor, folder / f"inscribirse-errores-{suffix}.png")
    visitor.goto("/api/v1/entrar/")
    visitor.get_by_label("Tu token").fill("mmc_0")
    visitor.get_by_role("button", name="Entrar").click()
    expect(visitor.get_by_role("alert")).to_contain_text("no sirve")
    wrong += look_at(visitor, folder / f"entrar-error-{suffix}.png")
    maestro = open_page(browser, world, logged_in=True, **options)
    wrong += visit(maestro, world.maestro, folder, suffix)
    maestro.goto("/api/v1/ventas/")
    maestro.get_by_label("¿Cuántos?").fill("muchos")
    maestro.get_by_role("button", name="Grande").click()
    expect(maestro.get_by_role("alert")).to_be_focused()
    expect(maestro.get_by_label("¿Cuántos?")).to_have_value("muchos")
    wrong += look_at(maestro, folder / f"vender-error-{suffix}.png")
    maestro.goto("/api/v1/tokens/")
    maestro.get_by_role("button", name="Cambiar mi token").click()
    expect(maestro.get_by_role("status")).to_contain_text("ya no sirve")
    wrong += look_at(maestro, tmp_path / f"token-nuevo-{suffix}.png")
    assert wrong == []


@pytest.mark.parametrize("suffix", ["telefono", *(pytest.param(s, marks=pytest.mark.chaos) for s in OTHERS)])
def test_every_refusal_is_accessible(
    browser: Browser, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    """Without service, after too many forms, at an unknown address; also the end of the e-mails."""

    def neither(*_: object) -> None:
        raise Unavailable

    options = SCREENS[suffix]
    folder = tmp_path if "color_scheme" in options else Path(os.environ.get("PICTURES", tmp_path))
    page = open_page(browser, world, logged_in=True, **options)
    cuenta = Cuenta.objects.create(maestro_id=UUID(int=1), nombre="Rosa", email="rosa@example.cl", abierta_en=NOW)
    wrong = visit(page, {"nada-aqui": "../../nada/"}, folder, suffix)
    page.goto(baja.direccion(cuenta.maestro_id))
    wrong += look_at(page, folder / f"correo-semanal-{suffix}.png")
    page.get_by_role("button").click()
    expect(page.get_by_role("status")).to_be_visible()
    wrong += look_at(page, folder / f"correo-semanal-terminado-{suffix}.png")
    page.goto("/api/v1/ventas/")
    with monkeypatch.context() as outage:
        outage.setattr(aceptacion, "publish", neither)
        page.get_by_role("button", name="Grande").click()
        expect(page.get_by_role("alert")).to_contain_text("El servicio no responde")
    wrong += look_at(page, folder / f"sin-servicio-{suffix}.png")
    monkeypatch.setattr(conf.settings, "LIMITE_INSCRIPCIONES", "1/min")
    for _ in range(2):
        page.goto("/api/v1/inscripciones/")
        page.get_by_label("Nombre").fill("Rosa Ñáñez")
        page.get_by_role("button", name="Enviar mi inscripción").click()
    expect(page.get_by_role("alert")).to_contain_text("muchos envíos seguidos")
    wrong += look_at(page, folder / f"muchos-envios-{suffix}.png")
    assert wrong == []


@pytest.mark.chaos
@pytest.mark.minutes(2)
def test_pages_fit_a_narrow_screen(browser: Browser, world: World, tmp_path: Path) -> None:
    """As at 200 % on a phone, and at 400 % on a desk."""
    size = {"width": NARROW, "height": 640}
    for logged_in, addresses in ((False, world.public), (True, world.maestro)):
        page = open_page(browser, world, logged_in=logged_in, viewport=size, reduced_motion="reduce")
        assert visit(page, addresses, tmp_path, "angosto") == []


def test_the_keyboard_reaches_everything(browser: Browser, world: World) -> None:
    """Each stop of the Tab key shows where it is, and the first one skips the menu."""
    page = open_page(browser, world, logged_in=True, viewport=PHONE)
    page.goto("/api/v1/ventas/")
    page.keyboard.press("Tab")
    expect(page.locator(":focus")).to_have_text("Ir al contenido")
    reached = set()
    for _ in range(60):
        focused = page.locator(":focus")
        if focused.count():
            reached.add(focused.evaluate("e => e.innerText || e.name || e.tagName").strip())
            assert focused.evaluate("e => getComputedStyle(e).outlineStyle") != "none"
        page.keyboard.press("Tab")
    assert {"Vender", "Mi carro", "Mi semana", "Inicio", "cantidad", "Anular"} <= reached
    assert any("Mediano" in text for text in reached)


def test_pages_work_without_javascript(browser: Browser, world: World) -> None:
    page = open_page(browser, world, logged_in=True, viewport=PHONE, java_script_enabled=False)
    page.goto("/api/v1/ventas/")
    page.get_by_label("¿Cuántos?").fill("x")
    page.get_by_role("button", name="Chico").click()
    expect(page.get_by_role("alert")).to_contain_text("Escribe un número entero")
    page.goto("/api/v1/tokens/")
    page.locator("summary", has_text="Anular mi token").click()
    page.get_by_role("button", name="Sí, anular mi token").click()
    expect(page.get_by_role("status")).to_contain_text("quedó anulado")
    page.goto("/api/v1/ventas/")
    expect(page.get_by_role("link", name="Entrar con mi token")).to_be_visible()


def test_axe_finds_what_is_wrong(browser: Browser) -> None:
    page = browser.new_page()
    small = "<button style='width: 10px; height: 10px; padding: 0'>a</button>"
    page.set_content(f"<p style='color: #ccc'>Vender</p><input>{small}{small}")
    found = " ".join(violations(page))
    missed = {
        rule for rule in ("color-contrast", "label", "html-has-lang", "target-size") if f": {rule} (" not in found
    }
    assert missed == set()
