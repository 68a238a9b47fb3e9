"""Forms behind a proxy on another port, and the true reason when a form is refused."""

from typing import Any

import pytest
from django.test import Client, RequestFactory
from pytest_django import Settings

from gremio import csrf

PROXY = {"HTTP_HOST": "gremio.cl", "HTTP_ORIGIN": "https://gremio.cl:8443", "HTTP_X_FORWARDED_PROTO": "https"}


@pytest.fixture
def client() -> Client:
    return Client(enforce_csrf_checks=True)


@pytest.fixture(autouse=True)
def behind_a_proxy(settings: Settings) -> None:
    settings.ALLOWED_HOSTS = ["gremio.cl"]
    settings.SITE_URL = "https://gremio.cl:8443"
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    settings.CSRF_TRUSTED_ORIGINS = ["https://gremio.cl:8443"]


def log_in(client: Client, **headers: Any) -> tuple[int, str]:
    """Post the admin's login form as a browser does; return status and page."""
    client.get("/admin/login/", secure=True, **headers)
    fields = {"username": "x", "password": "y", "csrfmiddlewaretoken": client.cookies["csrftoken"].value}
    answer = client.post("/admin/login/", fields, secure=True, HTTP_ACCEPT="text/html", **headers)
    return answer.status_code, answer.content.decode()


@pytest.mark.django_db
def test_other_port_may_log_in(client: Client) -> None:
    assert log_in(client, **PROXY)[0] == 200  # the form again: the password is wrong


@pytest.mark.django_db
def test_other_origin_is_named(client: Client) -> None:
    status, page = log_in(client, **PROXY | {"HTTP_ORIGIN": "https://otra.cl"})
    assert status == 403
    assert "https://otra.cl" in page
    assert "https://gremio.cl:8443" in page
    assert "cookie" not in page


def test_each_cause_has_its_reason() -> None:
    request = RequestFactory().post("/", HTTP_ORIGIN="https://otra.cl")
    assert "cookie" in csrf.explain("CSRF cookie not set.", request)
    for silent in (RequestFactory().post("/"), RequestFactory().post("/", HTTP_ORIGIN="null")):
        assert csrf.explain("Referer checking failed - no Referer.", silent) == csrf.NO_ORIGIN
    assert "mucho tiempo" in csrf.explain("CSRF token from POST incorrect.", request)
    assert "https://otra.cl" in csrf.explain("Origin checking failed - x does not match any trusted origins.", request)
