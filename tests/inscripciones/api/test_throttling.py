"""Limits per client address."""

import socket
import time
from datetime import timedelta

import pytest
import time_machine
from django.test import Client
from django.utils import timezone
from environ import Env
from pytest_django import Settings
from rest_framework.test import APIClient

from inscripciones import credenciales
from inscripciones.models import Usuario
from mamochi_site import environment
from tests.support.api import log_in

pytestmark = pytest.mark.django_db
URL = "/api/v1/inscripciones/"


def test_too_many_forms_of_an_address_wait(api: APIClient, settings: Settings) -> None:
    settings.LIMITE_INSCRIPCIONES = "3/hour"
    forms = [api.post(URL, {}, format="json", HTTP_X_FORWARDED_FOR=f"10.0.0.{n}") for n in range(4)]
    assert [answer.status_code for answer in forms] == [400, 400, 400, 429]
    assert 0 < int(forms[-1]["Retry-After"]) <= 3600
    assert api.post(URL, {}, format="json", REMOTE_ADDR="10.9.9.9").status_code == 400


def test_an_ipv6_network_is_one_client(api: APIClient, settings: Settings) -> None:
    settings.LIMITE_INSCRIPCIONES = "2/hour"

    def post_from(address: str) -> int:
        return api.post(URL, {}, format="json", REMOTE_ADDR=address).status_code

    assert [post_from(f"2001:db8:0:1:{n}::{n}") for n in range(3)] == [400, 400, 429]
    assert post_from("2001:db8:0:2::1") == 400
    assert [post_from(a) for a in ("::ffff:10.0.0.1", "10.0.0.1", "10.0.0.1", "unknown")] == [400, 400, 429, 400]


def test_a_shared_cache_may_be_down(api: APIClient, settings: Settings) -> None:
    settings.LIMITE_INSCRIPCIONES = "1/hour"
    valkey = settings.CELERY_BROKER_URL
    for location, last in ((valkey, 429), ("redis://127.0.0.1:1/0", 400)):
        settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": location}}
        assert [api.post(URL, {}, format="json").status_code for _ in range(2)] == [400, last]


def test_a_silent_cache_holds_up_no_form(api: APIClient, settings: Settings) -> None:
    settings.LIMITE_INSCRIPCIONES = "1/hour"
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
        settings.CACHES = {"default": environment.cache(url, Env.cache_url_config)}
        began = time.monotonic()
        assert [api.post(URL, {}, format="json").status_code for _ in range(2)] == [400, 400]
        assert time.monotonic() - began < 5


def test_an_empty_limit_is_none(api: APIClient, settings: Settings) -> None:
    settings.LIMITE_INSCRIPCIONES = ""
    assert {api.post(URL, {}, format="json").status_code for _ in range(100)} == {400}


def test_guessing_tokens_is_limited_per_address(client: Client, settings: Settings, maestro: Usuario) -> None:
    settings.LIMITE_ENTRADAS = "2/min"
    assert [log_in(client, "mmc_no").status_code for _ in range(3)] == [200, 200, 429]
    answer = log_in(client, credenciales.emitir(maestro))
    assert (answer.status_code, int(answer["Retry-After"]) <= 61) == (429, True)


def test_requests_of_a_clock_that_was_ahead_are_forgotten(api: APIClient, settings: Settings) -> None:
    settings.LIMITE_INSCRIPCIONES = "2/min"
    with time_machine.travel(timezone.now() + timedelta(days=1)):
        assert [api.post(URL, {}, format="json").status_code for _ in range(3)] == [400, 400, 429]
    answers = [api.post(URL, {}, format="json") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [400, 400, 429]
    assert int(answers[-1]["Retry-After"]) <= 61
