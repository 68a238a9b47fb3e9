"""A hint never waits for a broker that is down, nor fails because of it."""

import logging
import socket
import time
from collections.abc import Iterator

import pytest

from gremio import hints
from gremio.hints import breaker, hint
from mamochi_site.celery import app as celery_app


@pytest.fixture(autouse=True)
def _closed_breaker() -> Iterator[None]:
    breaker.close()
    yield
    breaker.close()


@pytest.fixture
def broker_down(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound and never listening
        monkeypatch.setenv("CELERY_BROKER_WRITE_URL", f"redis://127.0.0.1:{closed.getsockname()[1]}/0")
        monkeypatch.setattr(celery_app.amqp, "_producer_pool", None)
        yield


@pytest.mark.usefixtures("broker_down")
def test_a_broker_that_is_down_opens_the_breaker(caplog: pytest.LogCaptureFixture) -> None:
    began = time.monotonic()
    hint("stock.tasks.revisar_avisos")
    assert breaker.is_open
    hint("stock.tasks.revisar_avisos")
    assert time.monotonic() - began < 2
    warnings = [record for record in caplog.records if record.name == hints.__name__]
    assert [(w.levelno, "revisar_avisos" in w.getMessage()) for w in warnings] == [(logging.WARNING, True)]


def test_the_breaker_closes_after_a_while() -> None:
    breaker.open()
    assert breaker.is_open
    breaker.closes_at -= hints.BREAK_SECONDS
    assert not breaker.is_open


@pytest.mark.usefixtures("stack")
def test_a_hint_reaches_the_broker() -> None:
    with celery_app.connection_for_read() as connection, connection.SimpleQueue("celery") as queue:
        queue.clear()
        hint("gremio.tests.nothing", ["a", 1])
        message = queue.get(timeout=10)
        message.ack()
    assert message.headers["task"] == "gremio.tests.nothing"
    assert message.payload[0] == [["a", 1]]
    assert not breaker.is_open
