"""The whole loop over TLS, with a login per process: from the form to the weekly account."""

import json
from datetime import UTC, datetime

import psycopg
import pytest

from deploy.embedded.waiting import wait_until
from mamochi_site.local.system import System
from tests.end_to_end.secured.operator import Operator
from tests.support.system import SECONDS, Client, query

pytestmark = pytest.mark.chaos
CLOSE = "from ventas.tasks import cerrar_semanas; cerrar_semanas.delay(semana={semana!r}, hasta={hasta!r})"


def test_from_the_form_to_the_account(system: System, maestro: Client, operator: Operator) -> None:
    """The maestro has enrolled (Paid), was approved, and got the token by e-mail."""
    for _ in range(10):
        assert maestro.sell().status == 202
    operator.wait_until_counted(maestro)
    assert maestro.call("POST", "stock/avisos/", {}).status == 202
    wait_until(lambda: cups(maestro) == 10, SECONDS)
    week = maestro.call("GET", "ventas/resumen/").body
    assert (week["cantidad_ventas"], week["ganancias"]) == (10, 10 * (2_000 - 610))
    worker = system.stack.processes["celery-worker"].env
    code = CLOSE.format(semana=week["semana"], hasta=datetime.now(UTC).isoformat())
    done = operator.run("shell", "--no-imports", "-c", code, **worker)
    assert done.returncode == 0, done.stderr
    assert maestro.persona is not None
    [mail] = system.mailbox.wait_for(to=maestro.persona.email, subject="Tu semana en MAMOCHI", timeout=SECONDS)
    assert "10" in mail.text
    assert query(system, "SELECT count(*) FROM kafka_bridge_outboxmessage") == [(0,)]


def cups(maestro: Client) -> int:
    return next((row["cantidad"] for row in maestro.call("GET", "stock/").body if row["insumo"] == "vaso"), 0)


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
