"""The desk of a guild with something of everything, with the test client and in a browser."""

from collections.abc import Callable, Iterator
from typing import Literal

import pytest
from django.core.cache import cache
from django.db import connections
from django.test import Client
from playwright.sync_api import Page
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from inscripciones.models import Maestro
from tests.support.browser import chromium
from tests.support.guild import populate
from tests.support.staff import make_staff

ROLES = {"revisora": ["Revisores"], "distribuidor": ["Distribuidores"], "contadora": ["Contadores"], "operadora": []}

# Opens a page of the site for a role, in a window of this width, light or dark.
Open = Callable[..., Page]


@pytest.fixture(autouse=True)
def _plain_static_files(settings: Settings) -> None:
    plain = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    settings.STORAGES = {**settings.STORAGES, "staticfiles": plain}


@pytest.fixture(autouse=True)
def _nothing_is_remembered() -> None:
    """Forget the figures that the home keeps for a minute."""
    cache.clear()


@pytest.fixture
def guild(kafka: str, db: None) -> list[Maestro]:
    """Return the maestros of a guild that has worked since the morning."""
    return populate()


def make(role: str) -> Client:
    """Return a client that is logged in as a new user of this role."""
    client = Client()
    client.force_login(make_staff(role, *ROLES[role], is_superuser=not ROLES[role]))
    return client


@pytest.fixture
def open_as(monkeypatch: pytest.MonkeyPatch, live_server: LiveServer, kafka: str) -> Iterator[Open]:
    """Return a function that opens the home for a role."""
    populate()
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")  # Playwright keeps an event loop in this thread
    with chromium() as browser:

        def open_home(role: str, *, width: int = 1_200, scheme: Literal["light", "dark"] = "light") -> Page:
            context = browser.new_context(
                base_url=live_server.url,
                locale="es-CL",
                timezone_id="America/Santiago",
                color_scheme=scheme,
                viewport={"width": width, "height": 844},
            )
            session = make(role).cookies["sessionid"].value
            context.add_cookies([{"name": "sessionid", "value": session, "url": live_server.url}])
            page = context.new_page()
            page.goto("/admin/")
            return page

        yield open_home
        # This thread's connections while it has an event loop are not pytest-django's.
        connections.close_all()
