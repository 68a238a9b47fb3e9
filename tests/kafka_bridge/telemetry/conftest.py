"""Fixtures of the telemetry's tests."""

from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from typing import ClassVar

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import override_settings
from django.urls import path

from kafka_bridge.telemetry import probe
from tests.support.sandbox import Sandbox


class Site:
    """A view that publishes, under the real middleware."""

    sandbox: ClassVar[Sandbox]

    @classmethod
    def publish(cls, _request: HttpRequest, count: int) -> HttpResponse:
        cls.sandbox.publish(*range(count))
        return HttpResponse("ok")


urlpatterns = [path("publish/<int:count>/", Site.publish)]


@pytest.fixture
def site(sandbox: Sandbox) -> Iterator[Sandbox]:
    """Publish to the sandbox by GET /publish/<count>/."""
    Site.sandbox = sandbox
    with override_settings(ROOT_URLCONF=__name__):
        yield sandbox


@pytest.fixture
def port() -> Iterator[int]:
    """Serve this process's metrics and health; return the port."""
    server: ThreadingHTTPServer = probe.serve(("127.0.0.1", 0))
    yield server.server_port
    server.shutdown()
    server.server_close()
