"""A web server on the test database, with a maestro and an administrator to attack."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection, transaction
from django.test import Client
from pytest_django.plugin import DjangoDbBlocker

from deploy.embedded.ports import HOST, free_port
from inscripciones import credenciales
from inscripciones.models import Usuario
from kafka_bridge.brokers import topic_admin
from tests.attack.wire import Answer, request_bytes, send
from tests.stack import wait_until

CHECKOUT = Path(__file__).resolve().parents[2]
SECONDS = 60.0


@dataclass(frozen=True)
class Target:
    """A gunicorn as in production, and the credentials of its clients."""

    port: int
    token: str
    maestro_id: UUID
    session: str  # the session cookie of an administrator
    log: Path
    pid: int

    def answer(self, raw: bytes) -> Answer:
        """Send the exact bytes of a request and return the answer. Raises TimeoutError."""
        return send(self.port, raw)

    def call(self, method: str, path: str, body: bytes | None = None, **headers: Any) -> Answer:
        """Send a request; header names have `_` for `-`."""
        return self.answer(request_bytes(method, path, body or b"", headers))

    def is_well(self) -> bool:
        return self.call("GET", "/health/ready").status == 200

    def tracebacks(self) -> str:
        """Return the end of the server's log, for the message of a failing test."""
        return self.log.read_text(errors="replace")[-6_000:]


@pytest.fixture(scope="module")
def target(
    kafka: str, django_db_setup: None, django_db_blocker: DjangoDbBlocker, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Target]:
    topic_admin.create_topics(topic_admin.declared_topics())
    log = tmp_path_factory.mktemp("web") / "gunicorn.log"
    with django_db_blocker.unblock():
        maestro = Usuario.objects.create_user(username=str(uuid4()), maestro_id=uuid4())
        with transaction.atomic():
            token = credenciales.emitir(maestro)
        root = Usuario.objects.create_superuser(username=str(uuid4()))
        browser = Client()
        browser.force_login(root)
    port = free_port()
    assert maestro.maestro_id is not None
    process = _gunicorn(port, log)
    made = Target(port, token, maestro.maestro_id, browser.cookies["sessionid"].value, log, process.pid)
    try:
        wait_until(lambda: _answers(made, process), SECONDS)
        yield made
    finally:
        process.terminate()
        process.wait(30)
        with django_db_blocker.unblock():
            Usuario.objects.filter(pk__in=[maestro.pk, root.pk]).delete()


def _gunicorn(port: int, log: Path) -> "subprocess.Popen[bytes]":
    database = connection.settings_dict
    url = f"postgresql://{database['USER']}:{database['PASSWORD']}@{database['HOST']}:{database['PORT']}/{database['NAME']}"
    environment = {
        **os.environ,
        "DATABASE_URL": url,
        "DEBUG": "false",
        "HTTPS_ONLY": "false",
        "ALLOWED_HOSTS": HOST,
        "LOG_FORMAT": "json",
        "LIMITE_INSCRIPCIONES": "",
        "LIMITE_ENTRADAS": "",
    }
    command = [sys.executable, "-m", "gunicorn", "mamochi_site.asgi:application", "--bind", f"{HOST}:{port}"]
    command += ["--config", "python:mamochi_site.gunicorn_conf", "--workers", "1", "--graceful-timeout", "5"]
    command += ["--no-control-socket"]
    with log.open("wb") as output:
        return subprocess.Popen(command, cwd=CHECKOUT, env=environment, stdout=output, stderr=output)


def _answers(target: Target, process: "subprocess.Popen[bytes]") -> bool:
    assert process.poll() is None, target.tracebacks()
    try:
        return target.is_well()
    except OSError:
        return False
