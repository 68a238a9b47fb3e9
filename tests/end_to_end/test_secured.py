"""The system's servers have TLS, and each process is a user who may do its work and no more."""

import json

import psycopg
import pytest

from deploy.embedded.waiting import wait_until
from mamochi_site.local.system import System
from tests.support.operator import Operator
from tests.support.system import SECONDS, Client

pytestmark = pytest.mark.slow


def test_each_process_has_its_user(system: System) -> None:
    users = {name: process.env.get("KAFKA_SASL_USERNAME") for name, process in system.applications.items()}
    assert users["web"] == "web"
    assert users["outbox-relay"] == "relay"
    assert len(set(users.values())) == len(users)
    assert {process.env["KAFKA_SECURITY_PROTOCOL"] for process in system.applications.values()} == {"SASL_SSL"}


def test_every_process_may_do_its_work(system: System, maestro: Client, operator: Operator) -> None:
    """None of them asks for more than the table has, when the admin's pages and probes do it."""
    wait_until(lambda: maestro.call("GET", "stock/").status == 200, SECONDS)
    web = system.stack.processes["web"].env
    overview = operator.run("overview", **web)
    assert "Kafka no responde" not in overview.stdout
    assert "permiso" not in overview.stdout
    assert "contabilidad" in overview.stdout
    checked = operator.run("check_brokers", **operator.security.password_variables("prepare"))
    assert checked.returncode == 0, checked.stderr
    for name in system.applications:
        assert "AUTHORIZATION_FAILED" not in operator.log(name), name
        assert "uthorization failed" not in operator.log(name), name


def test_database_is_verified(system: System) -> None:
    url = system.environment["DATABASE_URL"]
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(url.partition("?")[0], sslmode="disable")
    with pytest.raises(psycopg.OperationalError, match="does not match host name"):
        psycopg.connect(url.replace("127.0.0.1", "localhost"))
    assert "sslmode=verify-full" in url
    assert system.environment["CELERY_BROKER_URL"].startswith("rediss://")
    assert json.loads(system.stack.record_file.read_text())["urls"]["DATABASE_URL"] == url
