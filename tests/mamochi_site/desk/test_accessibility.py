"""In a browser: the pages of the admin obey WCAG 2.2 AA and the content security policy."""

from typing import Any, Literal

import pytest
from django.contrib import admin
from django.contrib.admin import ModelAdmin
from django.db.models import Model
from django.urls import reverse
from playwright.sync_api import ConsoleMessage, Page, expect

from inscripciones.models import Inscripcion, Maestro
from kafka_bridge.models import DeadLetter
from tests.mamochi_site.desk.conftest import Open
from tests.support.accessibility import violations
from tests.support.browser import BROWSER_TEST

pytestmark = [*BROWSER_TEST, pytest.mark.slow, pytest.mark.django_db(transaction=True)]
Scheme = Literal["light", "dark"]
WINDOWS: list[tuple[int, Scheme]] = [(1_280, "light"), (390, "dark")]
ONE_OFTEN = [WINDOWS[0], pytest.param(*WINDOWS[1], marks=pytest.mark.chaos)]
# Of each kind of page at least one; the others are like them.
MAIN = (
    "inscripciones.Maestro",
    "inscripciones.Usuario",
    "stock.Carro",
    "ventas.Producto",
    "auth.Group",
    "kafka_bridge.OverviewPage",
)


def paths_of_models(only: tuple[str, ...] = ()) -> list[str]:
    """Return the list, the page of one row and the page to add one, of each model."""
    chosen = [model for model in admin.site._registry if not only or model._meta.label in only]
    return [path for model in chosen for path in _paths_of(model, admin.site._registry[model])]


def _paths_of(model: type[Model], model_admin: Any) -> list[str]:
    base = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
    row = model._default_manager.first()
    is_page = model._meta.proxy
    adds = type(model_admin).has_add_permission is ModelAdmin.has_add_permission
    return [base, *([f"{base}{row.pk}/change/"] if row and not is_page else []), *([f"{base}add/"] if adds else [])]


def paths_of_work() -> list[str]:
    """Return the home and the pages on which staff act."""
    pending = Inscripcion.objects.filter(estado=Inscripcion.Estado.EN_REVISION).first()
    maestro, letter = Maestro.objects.first(), DeadLetter.objects.get()
    assert pending
    assert maestro
    queue, letters = "/admin/inscripciones/inscripcion/", "/admin/kafka_bridge/deadletter/"
    return [
        "/admin/",
        queue,
        f"{queue}numeros/",
        *(f"{queue}{pending.pk}/{page}/" for page in ("change", "aprobar", "rechazar", "history")),
        f"/admin/inscripciones/maestro/{maestro.pk}/corregir-correo/",
        "/admin/inscripciones/maestro/?q=no-hay",
        f"/admin/stock/carro/{maestro.pk}/corregir/",
        letters,
        *(f"{letters}{letter.pk}/{page}/" for page in ("change", "replay", "discard")),
        f"/admin/kafka_bridge/lookuppage/?id={pending.pk}",
        "/admin/ventas/reportesemanal/export/",
        "/admin/ventas/",
        "/admin/password_change/",
    ]


def check(page: Page, paths: list[str]) -> None:
    """Fail with all that is wrong on these pages."""
    wrong: list[str] = []

    def hear(message: ConsoleMessage) -> None:
        if "Content Security Policy" in message.text:
            wrong.append(f"{page.url}: {message.text}")

    page.on("console", hear)
    page.on("pageerror", lambda error: wrong.append(f"{page.url}: {error}"))
    for path in paths:
        answer = page.goto(path)
        assert answer
        assert answer.ok, path
        # What accessible.js does last, after the scripts of the libraries.
        expect(page.locator("html[data-accessible]")).to_be_attached()
        wrong += [f"{path}: {found}" for found in violations(page)]
        if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            wrong.append(f"{path}: wider than the window")
    assert wrong == []


@pytest.mark.parametrize(("width", "scheme"), ONE_OFTEN)
def test_pages_of_work_are_accessible(open_as: Open, width: int, scheme: Scheme) -> None:
    check(open_as("operadora", width=width, scheme=scheme), paths_of_work())


@pytest.mark.parametrize(
    "only", [MAIN, pytest.param((), marks=[pytest.mark.chaos, pytest.mark.minutes(4)])], ids=["main", "all"]
)
@pytest.mark.parametrize(("width", "scheme"), ONE_OFTEN)
def test_pages_of_models_are_accessible(open_as: Open, width: int, scheme: Scheme, only: tuple[str, ...]) -> None:
    check(open_as("operadora", width=width, scheme=scheme), paths_of_models(only))


@pytest.mark.parametrize(("width", "scheme"), WINDOWS)
def test_the_pages_before_the_login_are_accessible(open_as: Open, width: int, scheme: Scheme) -> None:
    page = open_as("revisora", width=width, scheme=scheme)
    forbidden = page.goto("/admin/stock/carro/")
    assert forbidden
    assert forbidden.status == 403
    expect(page.get_by_text("Tu usuario no tiene permiso para esto")).to_be_visible()
    assert violations(page) == []
    page.context.clear_cookies()
    check(page, ["/admin/login/"])
    page.fill("input[name=username]", "revisora")
    page.fill("input[name=password]", "no es")
    page.keyboard.press("Enter")
    expect(page.locator("html[data-accessible]")).to_be_attached()
    expect(page.get_by_text("clave").or_(page.get_by_text("contraseña")).first).to_be_visible()
    assert violations(page) == []


@pytest.mark.parametrize("role", ["revisora", "distribuidor", "contadora"])
def test_each_home_is_accessible(open_as: Open, role: str) -> None:
    check(open_as(role, width=390), ["/admin/"])


@pytest.mark.parametrize("width", [640, pytest.param(320, marks=pytest.mark.chaos)], ids=["200 %", "400 %"])
def test_pages_can_be_enlarged(open_as: Open, width: int) -> None:
    """A window of 1,280 px, enlarged: nothing has to be scrolled sideways."""
    page = open_as("operadora", width=width)
    for path in (*paths_of_work(), *paths_of_models(MAIN)):
        page.goto(path)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path


def test_a_keyboard_is_enough(open_as: Open) -> None:
    page = open_as("revisora", width=1_280)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Ir al contenido")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_focused()
    # To the first tile: past the button of the menu, the search box and its button.
    first = page.locator(".espera a").first
    for _ in range(10):
        page.keyboard.press("Tab")
        if first.evaluate("element => element === document.activeElement"):
            break
    expect(first).to_be_focused()
    assert first.evaluate("element => getComputedStyle(element).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    page.wait_for_url("**/inscripcion/?paid__exact=1")
    # The drawer with the filters, and the menu of the user, are buttons.
    page.get_by_role("button", name="Filtros").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name="Este año")).to_be_visible()
    page.goto("/admin/")
    page.get_by_role("button", name="revisora").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Cerrar sesión")).to_be_visible()


def test_a_keyboard_opens_the_menu_on_a_phone(open_as: Open) -> None:
    page = open_as("revisora", width=390)
    page.get_by_role("button", name="Menú", exact=True).focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name="Maestros")).to_be_visible()
    page.get_by_role("button", name="Cerrar el menú").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#nav-sidebar")).to_be_hidden()
