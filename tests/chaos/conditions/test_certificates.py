"""Certificates that expire while the system runs: what goes on, what waits, and what is said."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

import pytest

from deploy.embedded.security.authority import Identity
from deploy.embedded.waiting import wait_until
from mamochi_site.local.demo.people import gather
from mamochi_site.local.system import LOGIN_VARIABLES, System, user_of
from tests.support.operator import WAITING, Operator
from tests.support.secured import secured_system
from tests.support.system import SECONDS, Client, enrol, query

pytestmark = [pytest.mark.chaos, pytest.mark.minutes(2)]
CONTABILIDAD: Final = "consumer-contabilidad"
INVENTARIO: Final = "consumer-inventario"
RELAY: Final = "outbox-relay"
# A process must have started and connected before its certificate expires.
SOON: Final = timedelta(seconds=40)
EXPIRED: Final = timedelta(minutes=-5)
REQUEST_SECONDS: Final = 10.0  # within which each request is answered (docs/reliability.md)
OF_THE_BROKER: Final = ("the certificate of the broker", "certificate has expired")
OF_POSTGRES: Final = "certificate verify failed: the server's certificate has expired"
LINES: Final = "SELECT count(*) FROM stock_movimiento WHERE tipo = 'venta'"


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with secured_system(tmp_path_factory.mktemp("expiring"), 18_800) as running:
        yield running


@pytest.fixture(scope="module")
def operator(system: System) -> Operator:
    return Operator(system)


@pytest.fixture(scope="module")
def maestro(system: System, operator: Operator) -> Client:
    return enrol(system, operator.port, paid=False)


def from_now(after: timedelta) -> datetime:
    return datetime.now(UTC) + after


def pids(system: System) -> dict[str, int]:
    return {name: process.pid for name, process in system.applications.items()}


def sell(maestro: Client, times: int = 5) -> None:
    for _ in range(times):
        began = datetime.now(UTC)
        assert maestro.sell().status == 202
        assert (datetime.now(UTC) - began).total_seconds() < REQUEST_SECONDS


def wait_for_log(operator: Operator, process: str, *texts: str) -> None:
    wait_until(
        lambda: any(all(text in line for text in texts) for line in operator.log(process).splitlines()),
        SECONDS,
        what=f"{texts} in the log of {process}",
    )


def all_is_there_once(system: System, operator: Operator, maestro: Client) -> None:
    """Wait until each accepted sale is in the accounts and in the cart's ledger, and none waits."""
    expected = (len(maestro.sent),)
    operator.wait_until_counted(maestro)
    wait_until(lambda: query(system, LINES) == [expected], SECONDS, what=f"{expected[0]} lines of the ledger")
    wait_until(lambda: query(system, WAITING) == [(0,)], SECONDS)


def use_certificate(operator: Operator, process: str, ends: datetime) -> Identity:
    """Let a process show Kafka a certificate instead of a password."""
    identity = operator.security.authority.issue(user_of(process), ends=ends)
    servers = {"KAFKA_BOOTSTRAP_SERVERS": operator.system.stack.kafka.brokers[0].certificates_address}
    operator.restart(
        process,
        dict.fromkeys(LOGIN_VARIABLES, "") | servers | operator.security.certificate_variables(identity),
    )
    return identity


def test_certificates_of_kafka_and_clients_expire(system: System, operator: Operator, maestro: Client) -> None:
    """Connections outlive them; after a restart of the broker no client can connect."""
    ends = from_now(SOON)
    theirs = {process: use_certificate(operator, process, ends) for process in (CONTABILIDAD, RELAY)}
    operator.install_server_certificate(ends)
    for process in theirs:
        operator.wait_until_ready(process)
    running = pids(system)
    wait_until(lambda: datetime.now(UTC) > ends, SECONDS)
    sell(maestro)
    all_is_there_once(system, operator, maestro)

    system.stack.kafka.brokers[0].restart()
    sell(maestro)
    assert query(system, WAITING) != [(0,)]
    operator.wait_until_says(INVENTARIO, *OF_THE_BROKER)
    wait_for_log(operator, "web", *OF_THE_BROKER)
    for process, identity in theirs.items():
        operator.wait_until_says(process, f"Kafka refuses the certificate of this client ({identity.certificate})")

    operator.install_server_certificate()
    operator.wait_until_ready(INVENTARIO)
    sell(maestro)
    for process in theirs:
        operator.security.authority.issue(user_of(process))
    all_is_there_once(system, operator, maestro)
    for process in theirs:
        operator.wait_until_ready(process)
    assert pids(system) == running, "a process was restarted"


def test_certificate_of_postgres_expires(system: System, operator: Operator, maestro: Client) -> None:
    """No request is accepted, each is told to come again; what Kafka has is not accused."""
    consumer = system.stack.processes[CONTABILIDAD]
    consumer.pause()
    sell(maestro)
    operator.renew_front("DATABASE_URL", from_now(EXPIRED))
    consumer.resume()
    try:
        for answer in (maestro.sell(), maestro.call("GET", "stock/")):
            assert (answer.status, int(answer.headers["retry-after"]) > 0) == (503, True)
        operator.wait_until_says(CONTABILIDAD, OF_POSTGRES)
        for process in ("web", RELAY, CONTABILIDAD):
            wait_for_log(operator, process, OF_POSTGRES)
    finally:
        operator.renew_front("DATABASE_URL")
    sell(maestro)
    all_is_there_once(system, operator, maestro)


def test_certificate_of_valkey_expires(system: System, operator: Operator) -> None:
    """The form is accepted and decided; the e-mail waits for the worker."""
    form = gather(1, 0, random.Random())[0]
    operator.renew_front("CELERY_BROKER_URL", from_now(EXPIRED))
    try:
        assert Client(operator.port).call("POST", "inscripciones/", form.formulario()).status == 202
        wait_for_log(operator, "celery-worker", "certificate has expired")
        wait_for_log(operator, "celery-beat", "certificate has expired")
    finally:
        operator.renew_front("CELERY_BROKER_URL")
    [_] = system.mailbox.wait_for(to=form.email, timeout=SECONDS)
