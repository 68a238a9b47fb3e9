"""Restore a backup: everything since comes back from Kafka, once (docs/restore.md)."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from deploy.embedded import Stack
from deploy.embedded.postgres import BINARIES
from deploy.embedded.waiting import wait_until
from mamochi_site.local.system import CHECKOUT, System, manage, running_system
from tests.support.system import SECONDS, TOKEN, Client, enrol, query, wait_for_sales

pytestmark = [pytest.mark.chaos, pytest.mark.minutes(2)]
REPLAYING = ("consumer-", "outbox-relay")
Facts = dict[str, list[tuple[Any, ...]]]
FACTS = {
    "sales": "SELECT id, maestro_id, producto, cantidad, semana_contable FROM ventas_venta ORDER BY id",
    "accounts": "SELECT maestro_id, email FROM ventas_cuenta ORDER BY 1",
    "enrolments": "SELECT id, rut, estado, motivo FROM inscripciones_inscripcion ORDER BY id",
    "maestros": "SELECT id, rut FROM inscripciones_maestro ORDER BY id",
    "stock": "SELECT maestro_id, insumo, cantidad FROM stock_existencia ORDER BY 1, 2",
    "ledger": "SELECT evento_id, tipo, insumos::text, referencia FROM stock_movimiento ORDER BY 1",
}


@pytest.fixture
def system(tmp_path: Path) -> Iterator[System]:
    stack = Stack(tmp_path / "stack", durable=False, environ={})
    with running_system(stack, port=18_100, settings={"REVISION_AUTOMATICA": "true"}) as running:
        yield running


def facts(system: System) -> Facts:
    return {name: query(system, sql) for name, sql in FACTS.items()}


def changes(before: Facts, after: Facts) -> Facts:
    """Return the rows that only one of the two has, by name: a failure shows no others."""
    differing = {name: set(rows) ^ set(after[name]) for name, rows in before.items()}
    return {name: sorted(rows) for name, rows in differing.items() if rows}


def settled(system: System) -> bool:
    """Return True if nothing is left to replay and the outbox is empty."""
    check = "from mamochi_site.restore import require_replay_finished as r; r()"
    command = manage("shell", "-c", check)
    done = subprocess.run(command, cwd=CHECKOUT, env=system.environment, capture_output=True, check=False)
    return done.returncode == 0 and query(system, "SELECT 1 FROM kafka_bridge_outboxmessage") == []


def postgres(system: System, program: str, *arguments: str) -> None:
    subprocess.run([str(BINARIES / program), *arguments], env=system.environment, check=True, capture_output=True)


def run(system: System, *command: str) -> None:
    subprocess.run(manage(*command), cwd=CHECKOUT, env=system.environment, check=True)


def each(system: System, action: Callable[[str], object], *, replaying: bool) -> None:
    for name in system.applications:
        if name.startswith(REPLAYING) == replaying:
            action(name)


def work(maestro: Client, sales: int) -> None:
    for _ in range(sales):
        assert maestro.sell().status == 202
    maestro.call("POST", "stock/avisos/", {})
    wait_for_sales(maestro)


def test_restore_replays_once(system: System, tmp_path: Path) -> None:
    port = int(system.url.rsplit(":", 1)[1])
    old = enrol(system, port, paid=False)
    work(old, 15)
    backup, url = str(tmp_path / "backup.dump"), system.environment["DATABASE_URL"]
    postgres(system, "pg_dump", "--format=custom", f"--file={backup}", url)
    new = enrol(system, port, paid=True)
    work(new, 12)
    work(old, 25)
    wait_until(lambda: settled(system), SECONDS, interval=1.0)
    before = facts(system)
    assert len(before["sales"]) == 52

    for replaying in (False, True):
        each(system, lambda name: system.stack.processes[name].stop(), replaying=replaying)
    redis.Redis.from_url(system.environment["CELERY_BROKER_URL"]).flushdb()
    postgres(system, "pg_restore", "--clean", "--if-exists", "--no-owner", f"--dbname={url}", backup)
    assert len(facts(system)["sales"]) == 15
    run(system, "begin_restore")
    each(system, system.stack.restart, replaying=True)
    wait_until(lambda: settled(system), SECONDS, interval=1.0)
    assert changes(before, facts(system)) == {}
    assert query(system, "SELECT error FROM kafka_bridge_deadletter") == []

    arrived = len(system.stack.mailbox.mails(to=mailbox_of(new)))
    run(system, "after_restore", "--send-credentials")
    each(system, system.stack.restart, replaying=False)
    wait_until(lambda: answers(new), SECONDS)
    assert new.call("GET", "ventas/").status == 401
    mails = system.stack.mailbox.wait_for(to=mailbox_of(new), count=arrived + 1, timeout=2 * SECONDS)
    found = TOKEN.search(mails[-1].text)
    assert found is not None
    new.token = found[0]
    assert new.call("GET", "ventas/resumen/").body["cantidad_ventas"] == 12


def mailbox_of(maestro: Client) -> str:
    assert maestro.persona is not None
    return maestro.persona.email


def answers(client: Client) -> bool:
    try:
        return client.call("GET", "ventas/").status in (200, 401)
    except OSError:
        return False
