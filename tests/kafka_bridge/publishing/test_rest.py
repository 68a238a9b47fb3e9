"""Answers of views that publish, where a dependency is down."""

import psycopg
import pytest
from django.db import OperationalError

from deploy.embedded.ports import HOST, free_port
from kafka_bridge.exceptions import Unavailable
from kafka_bridge.publishing.rest import exception_handler


@pytest.fixture
def refused() -> OperationalError:
    """Return the error of a connection to a port on which nothing listens."""
    with pytest.raises(psycopg.OperationalError) as connecting:
        psycopg.connect(host=HOST, port=free_port(), dbname="guild", connect_timeout=2)
    error = OperationalError("not shown")
    error.__cause__ = connecting.value
    return error


def test_log_tells_why_a_request_got_503(refused: OperationalError, caplog: pytest.LogCaptureFixture) -> None:
    """Both where a view asked the database, and where neither it nor Kafka took the event."""
    for error in (refused, Unavailable("retry later")):
        if error is not refused:
            error.__cause__ = refused
        response = exception_handler(error, {})
        assert response is not None
        assert (response.status_code, response.headers["Retry-After"].isdigit()) == (503, True)
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 2
    assert all("answered 503: OperationalError connection failed" in text for text in said)
    assert "not shown" not in "".join(said)


def test_silent_database_is_named_too(caplog: pytest.LogCaptureFixture) -> None:
    exception_handler(Unavailable("The database does not answer: retry later."), {})
    assert "answered 503: The database does not answer" in caplog.text
