"""What the errors of servers mean, and what is said about them."""

import psycopg
import pytest
from django.db import OperationalError

from deploy.embedded.ports import HOST, free_port
from kafka_bridge.diagnosis import describe


def test_refused_connection_says_why() -> None:
    """Neither the address nor a certificate is anybody's data."""
    port = free_port()
    with pytest.raises(psycopg.OperationalError) as refused:
        psycopg.connect(host=HOST, port=port, dbname="guild", connect_timeout=2)
    error = OperationalError("not shown")
    error.__cause__ = refused.value
    assert f'server at "{HOST}", port {port} failed' in describe(error)


def test_lost_connection_quotes_nothing() -> None:
    error = OperationalError("12.345.678-5")
    error.__cause__ = psycopg.OperationalError("consuming input failed: 12.345.678-5")
    assert describe(error) == "OperationalError"
