"""Guessing passwords at the admin's login: who is locked out, for how long, and who is not."""

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from axes.models import AccessAttempt
from django.conf import settings as project
from django.core.cache import cache
from django.test import Client, RequestFactory
from django.utils import timezone
from pytest_django import Settings
from rest_framework.settings import api_settings

from inscripciones import credenciales
from inscripciones.api.throttling import client_address
from inscripciones.models import Usuario
from tests.support.log_lines import Lines

pytestmark = pytest.mark.django_db
LOGIN = "/admin/login/"
PASSWORD = "huesillo-con-mote"
PAGE = {"accept": "text/html"}


@pytest.fixture(autouse=True)
def _quick_and_unlimited(settings: Settings) -> None:
    cache.clear()
    settings.LIMITE_ENTRADAS = ""
    settings.PASSWORD_HASHERS = [
        "django.contrib.auth.hashers.MD5PasswordHasher"
    ]  # this test checks a hundred passwords


@pytest.fixture(autouse=True)
def rosa() -> Usuario:
    return Usuario.objects.create_superuser("rosa", password=PASSWORD)


@pytest.fixture
def one_proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setattr(api_settings, "NUM_PROXIES", 1)
        yield


def log_in(password: str, name: str = "rosa", address: str = "203.0.113.7", **headers: str) -> Any:
    form = {"username": name, "password": password}
    return Client(REMOTE_ADDR=address).post(LOGIN, form, headers={**PAGE, **headers})


def fail(times: int, name: str = "rosa", address: str = "203.0.113.7", **headers: str) -> list[int]:
    return [log_in("no", name, address, **headers).status_code for _ in range(times)]


def test_fifth_wrong_password_locks() -> None:
    assert fail(5) == [200, 200, 200, 200, 429]
    answer = log_in(PASSWORD)
    assert (answer.status_code, answer["Retry-After"]) == (429, "900")
    assert "Prueba otra vez en 15 minutos" in answer.text
    assert "acceso queda cerrado" in log_in(PASSWORD, accept="application/json").json()["detail"]


def test_lock_expires() -> None:
    fail(5)
    with time_machine.travel(timezone.now() + timedelta(minutes=15, seconds=1)):
        assert log_in(PASSWORD).status_code == 302


def test_lock_of_a_clock_that_was_ahead_is_forgotten() -> None:
    with time_machine.travel(timezone.now() + timedelta(days=1)):
        assert fail(5)[-1] == 429
    assert log_in(PASSWORD).status_code == 302
    assert fail(5)[-1] == 429  # and attempts of now count


def test_locked_attempts_are_not_counted() -> None:
    fail(5)
    before = AccessAttempt.objects.values().get(username="rosa")
    assert set(fail(20)) == {429}
    assert AccessAttempt.objects.values().get(username="rosa") == before


def test_others_are_not_locked() -> None:
    Usuario.objects.create_superuser("pedro", password=PASSWORD)
    fail(5)
    assert log_in(PASSWORD, "pedro").status_code == 302
    assert log_in(PASSWORD, address="203.0.113.8").status_code == 302
    assert log_in(PASSWORD).status_code == 429


def test_login_resets_the_count() -> None:
    fail(4)
    assert log_in(PASSWORD).status_code == 302
    assert fail(4) == [200] * 4


def test_forged_address_stays_locked() -> None:
    for number in range(5):
        fail(1, **{"user-agent": f"browser {number}", "x-forwarded-for": f"198.51.100.{number}"})
    assert log_in(PASSWORD).status_code == 429


@pytest.mark.usefixtures("one_proxy")
def test_address_comes_from_the_proxy() -> None:
    proxy = "10.0.0.1"
    fail(5, address=proxy, **{"x-forwarded-for": "198.51.100.1, 203.0.113.7"})
    assert log_in(PASSWORD, address=proxy, **{"x-forwarded-for": "198.51.100.2, 203.0.113.7"}).status_code == 429
    assert log_in(PASSWORD, address=proxy, **{"x-forwarded-for": "203.0.113.8"}).status_code == 302


@pytest.mark.parametrize(
    ("told", "counted"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:aaaa::1", "2001:db8:1:2::"),
        ("2001:db8:1:2:bbbb::2", "2001:db8:1:2::"),
        ("2001:db8:1:3::1", "2001:db8:1:3::"),
        ("", None),
        ("nada", None),
    ],
)
def test_ipv6_network_is_one_client(told: str, counted: str | None) -> None:
    assert client_address(RequestFactory(REMOTE_ADDR=told).get("/")) == counted


def test_without_address_the_name_counts() -> None:
    assert fail(5, address="") == [200, 200, 200, 200, 429]


def test_many_names_are_limited_by_address(settings: Settings) -> None:
    settings.LIMITE_ENTRADAS = "3/min"
    found = [log_in("no", f"persona-{number}") for number in range(4)]
    assert [answer.status_code for answer in found] == [200, 200, 200, 429]
    assert 0 < int(found[-1]["Retry-After"]) <= 61
    assert "Espera un minuto" in found[-1].text


def test_maestro_login_stays_open(rosa: Usuario) -> None:
    maestro = Usuario.objects.create_user("m", maestro_id="0f8fad5b-d9cb-469f-a165-70867728950e")
    token = credenciales.emitir(maestro)
    fail(5)
    answer = Client(REMOTE_ADDR="203.0.113.7").post("/api/v1/entrar/", {"token": token})
    assert answer.status_code == 302


def test_typed_values_are_not_logged(lines: Lines) -> None:
    fail(6, name="rosa.nanez")
    log_in("mi-clave-secreta", name="rosa@example.cl")
    told = json.dumps(lines, ensure_ascii=False)
    for secret in ("rosa.nanez", "rosa@example.cl", "mi-clave-secreta", "203.0.113.7"):
        assert secret not in told
    assert "Locking out" in told
    assert not AccessAttempt.objects.filter(post_data__contains="mi-clave-secreta").exists()


def test_superuser_opens_a_locked_login(admin_client: Client) -> None:
    fail(5)
    page = admin_client.get("/admin/axes/accessattempt/").text
    for told in ("Accesos", "intentos de acceso", "Claves equivocadas", "Cuándo", "203.0.113.7"):
        assert told in page
    pk = AccessAttempt.objects.get(username="rosa").pk
    admin_client.post(f"/admin/axes/accessattempt/{pk}/delete/", {"post": "yes"})
    assert log_in(PASSWORD).status_code == 302


def test_sessions_expire() -> None:
    staff, maestro = Client(), Client()
    staff.post(LOGIN, {"username": "rosa", "password": PASSWORD})
    user = Usuario.objects.create_user("m", maestro_id="0f8fad5b-d9cb-469f-a165-70867728950e")
    maestro.post("/api/v1/entrar/", {"token": credenciales.emitir(user)})
    assert staff.session.get_expiry_age() == project.ADMIN_SESSION_AGE == 12 * 3_600
    assert maestro.session.get_expiry_age() == project.SESSION_COOKIE_AGE == 14 * 86_400
    with time_machine.travel(timezone.now() + timedelta(hours=12, seconds=1)):
        assert (staff.get("/admin/").status_code, maestro.get("/api/v1/tokens/").status_code) == (302, 200)
