"""The overview and the lookup in a browser: stopped consumers, lag, Kafka down, one sale."""

import re
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from confluent_kafka import Producer
from playwright.sync_api import Page, expect

from deploy.embedded.waiting import wait_until
from mamochi_site.local.system import System
from tests.end_to_end.test_outages import away
from tests.support.browser import BROWSER_TEST, chromium
from tests.support.system import SECONDS, Client, query, wait_for_sales
from ventas.events import VENTAS, VentaRegistrada

pytestmark = [*BROWSER_TEST, pytest.mark.slow]
expect.set_options(timeout=30_000)
PLOTTED = """Math.max(...Chart.getChart(document.querySelector("#overview-plot canvas")).data.datasets
    .find((one) => one.label === "contabilidad").data)"""


@pytest.fixture
def page(system: System) -> Iterator[Page]:
    """Return a page that is logged in as the admin."""
    with chromium() as browser:
        page = browser.new_page(locale="es-CL", viewport={"width": 1280, "height": 1000})
        page.goto(f"{system.url}/admin/")
        page.fill("input[name=username]", system.admin_user)
        page.fill("input[name=password]", system.admin_password)
        page.click("button[type=submit]")
        yield page


def panorama(page: Page, system: System) -> None:
    page.goto(f"{system.url}/admin/kafka_bridge/overviewpage/")


def follow(page: Page, system: System, wanted: str) -> None:
    page.goto(f"{system.url}/admin/kafka_bridge/lookuppage/")
    page.fill("#lookup-id", wanted)
    page.get_by_role("button", name="Seguir").click()


def test_stopped_consumer_is_named(page: Page, system: System, maestro: Client, tmp_path: Path) -> None:
    maestro.sell()
    wait_for_sales(maestro)
    panorama(page, system)
    lag = page.locator("[data-group=contabilidad] [data-lag]")
    expect(lag).to_have_text("0")
    system.stack.processes["consumer-contabilidad"].stop(timeout=15)
    try:
        problem = page.locator("[data-problem=grave]", has_text="Nadie atiende «contabilidad»")
        expect(problem).to_be_visible()
        maestro.sell()
        expect(lag).to_have_text("1")
        maestro.sell()
        maestro.sell()
        expect(lag).to_have_text("3")
        expect(problem).to_contain_text("Inicia manage.py run_consumer contabilidad")
        expect(page.locator("[data-group=contabilidad] [data-state]")).to_have_text("detenido")
        assert page.evaluate(PLOTTED) >= 3  # unfold's chart updates itself
        page.screenshot(path=tmp_path / "panorama.png", full_page=True)
        follow(page, system, maestro.sent[-1])
        expect(page.locator("[data-consumer=contabilidad]")).to_contain_text("todavía no: tiene 2 mensajes delante")
        expect(page.locator("[data-consumer=inventario]")).to_contain_text("aplicado")
        panorama(page, system)
        expect(lag).to_have_text("3")
    finally:
        system.stack.restart("consumer-contabilidad")
    expect(lag).to_have_text("0")
    expect(problem).to_have_count(0)
    follow(page, system, maestro.sent[-1])
    expect(page.locator("[data-consumer=contabilidad]")).to_contain_text("aplicado")
    expect(page.get_by_text("Venta en el libro")).to_be_visible()
    page.screenshot(path=tmp_path / "rastro.png", full_page=True)


@pytest.mark.chaos
def test_page_opens_without_kafka(page: Page, system: System, maestro: Client) -> None:
    with away(*system.stack.kafka.brokers):
        assert maestro.sell().status == 202
        panorama(page, system)
        expect(page.get_by_text("Kafka no responde.")).to_be_visible()
        expect(page.locator("[data-outbox]")).not_to_have_text("0")
        follow(page, system, maestro.sent[-1])
        expect(page.get_by_text("Kafka no responde")).to_be_visible()
        expect(page.get_by_text("todavía no llega a Kafka")).to_be_visible()
        panorama(page, system)
    expect(page.get_by_text("Kafka no responde.")).to_have_count(0)  # without reloading the page
    wait_for_sales(maestro)


def test_dead_letter_is_found_by_event(page: Page, system: System) -> None:
    event_id = str(uuid4())
    headers: list[tuple[str, str | bytes | None]] = [
        ("ce_id", event_id.encode()),
        ("ce_type", VentaRegistrada.type.encode()),
    ]
    other_program = Producer(dict(system.stack.kafka.brokers[0].admin_config))
    other_program.produce(VENTAS.name, partition=0, value=b'{"cantidad": 0}', headers=headers)
    assert other_program.flush(SECONDS) == 0
    sql = "SELECT count(*) FROM kafka_bridge_deadletter WHERE headers::text LIKE %s"
    wait_until(lambda: query(system, sql, f"%{event_id}%") == [(2,)], SECONDS)
    follow(page, system, event_id)
    for consumer in ("contabilidad", "inventario"):
        row = page.locator(f"[data-consumer={consumer}]")
        expect(row).to_contain_text("no lo pudo aplicar (no cumple su esquema): pendiente")
    page.get_by_role("link", name="ver el mensaje").first.click()
    expect(page).to_have_url(re.compile("/kafka_bridge/deadletter/"))
