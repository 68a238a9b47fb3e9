"""Wrong passwords and certificates: each process says what is refused, and recovers by itself."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.conf import settings

from deploy.embedded.security.authority import Authority
from kafka_bridge.brokers import trouble
from mamochi_site.local.system import LOGIN_VARIABLES, System
from tests.support.operator import Operator
from tests.support.system import Client

pytestmark = pytest.mark.chaos
CONTABILIDAD = "consumer-contabilidad"
EXPIRED = timedelta(minutes=-5)


def sell(maestro: Client, times: int = 3) -> None:
    for _ in range(times):
        assert maestro.sell().status == 202


def test_wrong_password_is_named(maestro: Client, operator: Operator) -> None:
    """The operator mends it in Kafka, and the consumer goes on without a restart."""
    operator.set_password(CONTABILIDAD, "another one")
    operator.restart(CONTABILIDAD)
    sell(maestro)
    operator.wait_until_says(CONTABILIDAD, f"Kafka refuses the login of User:{CONTABILIDAD}", "SCRAM-SHA-512")
    operator.set_password(CONTABILIDAD, operator.security.password_of(CONTABILIDAD))
    operator.wait_until_counted(maestro)
    operator.wait_until_ready(CONTABILIDAD)


def test_expired_server_certificate_is_renewed(maestro: Client, operator: Operator) -> None:
    """Connections of before stay; a process that starts meanwhile waits for the new certificate."""
    operator.install_server_certificate(datetime.now(UTC) + EXPIRED)
    try:
        operator.restart(CONTABILIDAD)
        sell(maestro)
        operator.wait_until_says(CONTABILIDAD, "certificate has expired", "the certificate of the broker")
    finally:
        operator.install_server_certificate()
    operator.wait_until_counted(maestro)
    operator.wait_until_ready(CONTABILIDAD)


def test_certificate_instead_of_a_password(system: System, maestro: Client, operator: Operator) -> None:
    """An expired one is named; with a renewed one the process works after its restart."""
    process = system.stack.processes[CONTABILIDAD]
    with_password = process.env
    variables = {
        **dict.fromkeys(LOGIN_VARIABLES, ""),
        "KAFKA_BOOTSTRAP_SERVERS": system.stack.kafka.brokers[0].certificates_address,
    }
    expired = operator.security.authority.issue(CONTABILIDAD, ends=datetime.now(UTC) + EXPIRED)
    operator.restart(CONTABILIDAD, variables | operator.security.certificate_variables(expired))
    sell(maestro)
    operator.wait_until_says(CONTABILIDAD, f"Kafka refuses the certificate of this client ({expired.certificate})")
    operator.security.authority.issue(CONTABILIDAD)
    operator.restart(CONTABILIDAD)
    operator.wait_until_counted(maestro)
    operator.wait_until_ready(CONTABILIDAD)
    process.env = with_password
    operator.restart(CONTABILIDAD)
    operator.wait_until_ready(CONTABILIDAD)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"sasl.username": "unknown"}, "refuses the login of User:unknown"),
        ({"sasl.password": "wrong"}, "the user or the password is wrong"),
        ({"sasl.mechanism": "PLAIN"}, "refuses the login of User:web"),
        ({"ssl.ca.location": "OTHER"}, "certificate verify failed|unable to get local issuer|self-signed"),
        ({"bootstrap.servers": "localhost"}, "Hostname mismatch.*localhost"),
        ({}, "^$"),
    ],
    ids=["unknown user", "wrong password", "other mechanism", "unknown authority", "wrong name", "well"],
)
def test_what_is_refused_is_said(
    operator: Operator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: dict[str, str], said: str
) -> None:
    config = operator.client_config("web") | changed
    if config["ssl.ca.location"] == "OTHER":
        config["ssl.ca.location"] = str(Authority(tmp_path).certificate)
    if config["bootstrap.servers"] == "localhost":
        config["bootstrap.servers"] = f"localhost:{operator.system.stack.kafka.brokers[0].port}"
    monkeypatch.setattr(settings, "KAFKA_CLIENT_CONFIG", config)
    text = trouble.ask(3.0)
    assert re.search(said, text), text
