"""Fixtures of the tests of enrolment."""

import socket
from collections.abc import Callable, Iterator

import pytest
from django.core.cache import cache
from pytest_django import Settings

from gremio.hints import breaker
from inscripciones.models import Usuario
from kafka_bridge.brokers import topic_admin
from kafka_bridge.publishing import relay
from tests.support.consumers import celery_worker, consumer, running


@pytest.fixture(autouse=True)
def _own_count_of_requests() -> None:
    cache.clear()


@pytest.fixture(autouse=True)
def _rules_decide(settings: Settings) -> None:
    settings.REVISION_AUTOMATICA = True


@pytest.fixture(autouse=True)
def _closed_breaker() -> None:
    breaker.close()


@pytest.fixture
def smtp(settings: Settings) -> None:
    """Send mails to the stack's SMTP sink; pytest-django would keep them in memory."""
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"


@pytest.fixture
def reviewer() -> Usuario:
    return Usuario.objects.create_user("revisora", is_staff=True)


@pytest.fixture
def running_system() -> Iterator[None]:
    """Run both lanes of `aprobacion`, the relay and a worker in threads of this process."""
    topic_admin.create_topics(topic_admin.declared_topics())
    with (
        celery_worker(),
        running(relay.run, consumer("aprobacion"), consumer("aprobacion", lane="paid")),
    ):
        yield


@pytest.fixture
def smtp_down(settings: Settings) -> Iterator[Callable[[], None]]:
    """Point Django at a port that refuses connections; return a function that points it back."""
    port = settings.EMAIL_PORT

    def bring_back() -> None:
        settings.EMAIL_PORT = port

    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound and never listening
        settings.EMAIL_PORT = closed.getsockname()[1]
        yield bring_back
