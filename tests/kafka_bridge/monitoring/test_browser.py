"""In a browser: the pages about Kafka fit a phone, which staff use first when something fails."""

from collections.abc import Iterator
from datetime import datetime
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
from django.contrib.auth import get_user_model
from django.db import connections
from django.test import Client
from django.utils import timezone
from playwright.sync_api import Page
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from kafka_bridge.models import DeadLetter
from tests.support.browser import BROWSER_TEST, chromium

pytestmark = [*BROWSER_TEST, pytest.mark.django_db(transaction=True)]
WIDTH = 390
TRACEBACK = 'File "/srv/kafka_bridge/batch.py", line 140, in read\n' + "    event = " + "decode_" * 30


@pytest.fixture
def phone(monkeypatch: pytest.MonkeyPatch, live_server: LiveServer, settings: Settings) -> Iterator[Page]:
    """Log an administrator in on a phone."""
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")  # Playwright keeps an event loop in this thread
    settings.STORAGES = {
        **settings.STORAGES,
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    }
    client = Client()
    client.force_login(get_user_model().objects.create_superuser("admin"))
    session = client.cookies["sessionid"].value
    with chromium() as browser:
        page = browser.new_page(
            base_url=live_server.url, locale="es-CL", timezone_id="UTC", viewport={"width": WIDTH, "height": 844}
        )
        page.context.add_cookies([{"name": "sessionid", "value": session, "url": live_server.url}])
        yield page
        # This thread's connections while it has an event loop are others than pytest-django's.
        connections.close_all()


@pytest.mark.slow
def test_pages_about_kafka_fit_a_phone(phone: Page) -> None:
    letter = DeadLetter.objects.create(
        consumer="contabilidad",
        topic="mamochi.ventas",
        partition=3,
        offset=17,
        event_type="mamochi.ventas.venta-registrada.v1",
        key=b"k" * 200,
        headers=[["ce_type", "mamochi.ventas.venta-registrada.v1"], ["traceparent", "0" * 200]],
        value=b'{"id": "%s", "producto": "%s"}' % (str(uuid4()).encode(), b"mediano" * 40),
        message_at=timezone.now(),
        reason=DeadLetter.Reason.SCHEMA,
        error="Undecodable: Expected `int`, got `str` - at `$.cantidad`",
        traceback=TRACEBACK,
        attempts=1,
    )
    one = f"deadletter/{letter.pk}"
    for path in ("deadletter/", f"{one}/change/", f"{one}/replay/", "overviewpage/", f"lookuppage/?id={uuid4()}"):
        answer = phone.goto(f"/admin/kafka_bridge/{path}")
        assert answer is not None
        assert answer.ok, path
        assert phone.evaluate("document.documentElement.scrollWidth") == WIDTH, path


def test_plots_clock_has_the_sites_time_zone(phone: Page) -> None:
    phone.goto("/admin/kafka_bridge/overviewpage/")
    shown = phone.evaluate("Chart.getChart(document.querySelector('#overview-plot canvas')).data.labels[0]")
    seen = phone.evaluate("JSON.parse(document.getElementById('overview-figures').textContent).at")
    assert shown == f"{datetime.fromtimestamp(seen, ZoneInfo('America/Santiago')):%H:%M:%S}"
