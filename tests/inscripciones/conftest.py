"""What the tests of enrolment share."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from celery.contrib.testing.worker import start_worker
from django.core.cache import cache
from django.db import connections
from pytest_django import Settings

from inscripciones import tasks
from kafka_bridge.brokers import topic_admin
from kafka_bridge.consuming.handlers import consumers
from kafka_bridge.consuming.runner import Runner
from kafka_bridge.publishing import relay
from mamochi_site.celery import app as celery_app


@pytest.fixture(autouse=True)
def _each_test_has_its_own_count_of_requests() -> None:
    cache.clear()


@pytest.fixture(autouse=True)
def _rules_decide(settings: Settings) -> None:
    settings.REVISION_AUTOMATICA = True


@pytest.fixture
def smtp(settings: Settings) -> None:
    """Mails go to the stack's SMTP sink, where pytest-django would keep them in memory."""
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"


@contextmanager
def corriendo(tarea: Callable[[threading.Event], None]) -> Iterator[None]:
    """Runs it in a thread until the block ends; raises what it raised."""
    parar, errores = threading.Event(), []

    def correr() -> None:
        try:
            tarea(parar)
        except BaseException as error:  # noqa: BLE001 - raised again below, in the test's own thread
            errores.append(error)
        finally:
            connections.close_all()

    hilo = threading.Thread(target=correr)
    hilo.start()
    try:
        yield
    finally:
        parar.set()
        hilo.join(30)
    if errores:
        raise errores[0]


@pytest.fixture
def sistema(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Both lanes of the consumer `aprobacion`, the relay and a worker, in threads of this process."""
    topic_admin.create_topics(topic_admin.declared_topics())
    monkeypatch.setattr(tasks, "_hints_from", 0.0)
    aprobacion = consumers["aprobacion"]
    with (
        start_worker(celery_app, perform_ping_check=False, shutdown_timeout=20.0),
        corriendo(relay.run),
        corriendo(lambda parar: Runner(aprobacion, stop=parar).run()),
        corriendo(lambda parar: Runner(aprobacion, stop=parar, lane="paid").run()),
    ):
        yield
