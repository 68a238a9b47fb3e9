"""Pages work under their content security policy in a browser; injected code does not."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from django.contrib import admin
from playwright.sync_api import Browser, ConsoleMessage, Page, expect

from mamochi_site.local.system import System
from tests.support.browser import BROWSER_TEST, chromium
from tests.support.system import Client, wait_for_sales

pytestmark = [*BROWSER_TEST, pytest.mark.slow]
PUBLIC = ("/api/v1/", "/api/v1/inscripciones/", "/api/v1/entrar/", "/api/eventos/", "/admin/login/", "/nada/")
OF_A_MAESTRO = ("ventas/", "ventas/resumen/", "stock/", "stock/movimientos/", "stock/avisos/", "productos/", "tokens/")
MAIN = [
    "inscripciones.Maestro",
    "stock.Carro",
    "ventas.Semana",
    "django_celery_beat.PeriodicTask",
    "kafka_bridge.OverviewPage",
]
ALL = [model._meta.label for model in admin.site._registry]


@dataclass
class Watched:
    """A page and the errors that its browser reported."""

    page: Page
    url: str
    wrong: list[str] = field(default_factory=list)

    def hear(self, message: ConsoleMessage) -> None:
        if "Content Security Policy" in message.text or "Permissions-Policy" in message.text:
            self.wrong.append(f"{self.page.url}: {message.text}")

    def open(self, path: str) -> None:
        self.page.goto(self.url + path)


def watch(browser: Browser, system: System) -> Watched:
    watched = Watched(browser.new_page(locale="es-CL"), system.url)
    watched.page.on("console", watched.hear)
    watched.page.on("pageerror", lambda error: watched.wrong.append(f"{watched.page.url}: {error}"))
    return watched


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def stranger(browser: Browser, system: System) -> Watched:
    return watch(browser, system)


@pytest.fixture
def as_maestro(stranger: Watched, maestro: Client) -> Watched:
    maestro.sell()
    wait_for_sales(maestro)
    stranger.open("/api/v1/entrar/")
    stranger.page.get_by_label("Tu token").fill(maestro.token)
    stranger.page.get_by_role("button", name="Entrar").click()
    return stranger


@pytest.fixture
def as_admin(stranger: Watched, system: System) -> Watched:
    stranger.open("/admin/")
    stranger.page.fill("input[name=username]", system.admin_user)
    stranger.page.fill("input[name=password]", system.admin_password)
    stranger.page.click("button[type=submit]")
    return stranger


def test_public_pages_obey_the_policy(stranger: Watched) -> None:
    for path in PUBLIC:
        stranger.open(path)
    stranger.open("/api/docs/")
    expect(stranger.page.locator(".opblock").first).to_be_visible()
    assert not stranger.wrong


def test_maestro_pages_obey_the_policy(as_maestro: Watched, maestro: Client) -> None:
    for path in (*OF_A_MAESTRO, f"ventas/{maestro.sent[0]}/"):
        as_maestro.open(f"/api/v1/{path}")
        expect(as_maestro.page.locator(".json")).to_contain_text("HTTP 200")
    assert not as_maestro.wrong


def test_revoking_a_token_takes_two_taps(as_maestro: Watched, maestro: Client) -> None:
    as_maestro.open("/api/v1/tokens/")
    as_maestro.page.get_by_text("Anular mi token").first.click()
    assert maestro.call("GET", "tokens/").status == 200
    as_maestro.page.get_by_role("button", name="Sí, anular mi token").click()
    expect(as_maestro.page.get_by_role("status")).to_contain_text("quedó anulado")
    assert maestro.call("GET", "tokens/").status == 401
    assert not as_maestro.wrong


@pytest.mark.parametrize("labels", [MAIN, pytest.param(ALL, marks=pytest.mark.chaos)], ids=["main", "all"])
def test_admin_obeys_the_policy(as_admin: Watched, maestro: Client, labels: list[str]) -> None:
    maestro.sell()
    wait_for_sales(maestro)
    for label in labels:
        as_admin.open(f"/admin/{label.lower().replace('.', '/')}/")
        rows = as_admin.page.locator("#result_list tbody a[href*=change]")
        if rows.count():
            rows.first.click()
    as_admin.open("/admin/ventas/reportesemanal/export/")
    as_admin.open("/admin/inscripciones/inscripcion/")
    as_admin.page.locator("a", has_text="filter_list").first.click()  # Alpine evaluates expressions
    expect(as_admin.page.get_by_role("link", name="Este año")).to_be_visible()
    assert not as_admin.wrong


SLIPPED_IN = """async ([elsewhere, expected]) => {
    const told = [];
    document.addEventListener("securitypolicyviolation", (event) => told.push(event.effectiveDirective));
    const add = (name, attributes) => document.body.append(Object.assign(document.createElement(name), attributes));
    window.ran = [];
    add("script", { textContent: "ran.push('a script in the page')" });
    add("script", { src: `${elsewhere}/a.js` });
    add("img", { src: `${elsewhere}/?stolen` });
    add("iframe", { src: elsewhere });
    document.body.insertAdjacentHTML("beforeend", `<p onclick="ran.push('an attribute')">`);
    document.body.lastChild.click();
    await fetch(elsewhere).catch(() => 0);
    setTimeout(() => ran.push(eval("'evaluated'"))); // later: what the test itself runs may evaluate
    // Each attempt is refused, or runs; a browser that has to wait for its turn tells late.
    const pause = () => new Promise((done) => setTimeout(done, 200));
    for (let n = 0; n < 50 && new Set(told).size + ran.length < expected; n++) await pause();
    await pause(); // what should not run could still run
    return { ran, told: [...new Set(told)].sort() };
}"""
REFUSED = ["connect-src", "frame-src", "img-src", "script-src-attr", "script-src-elem"]


@pytest.mark.parametrize("path", ["/api/v1/", "/api/v1/entrar/", "/api/docs/", "/api/eventos/", "/nada/"])
def test_injected_code_does_not_run(stranger: Watched, path: str) -> None:
    stranger.open(path)
    found = stranger.page.evaluate(SLIPPED_IN, ["http://127.0.0.1:9", len(REFUSED) + 1])
    assert found == {"ran": [], "told": sorted([*REFUSED, "script-src"])}
    assert stranger.wrong


def test_only_the_admin_may_evaluate(stranger: Watched) -> None:
    stranger.open("/admin/login/")
    found = stranger.page.evaluate(SLIPPED_IN, ["http://127.0.0.1:9", len(REFUSED) + 1])
    assert found == {"ran": ["evaluated"], "told": REFUSED}
