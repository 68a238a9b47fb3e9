"""What is not allowed is refused, the process says what it lacks, and goes on when it has it."""

import pytest
from confluent_kafka.admin import ResourceType

from deploy.embedded.waiting import wait_until
from mamochi_site.local.system import System
from tests.support.operator import WAITING, Operator
from tests.support.system import SECONDS, Client, query

pytestmark = [pytest.mark.chaos, pytest.mark.minutes(2)]
VENTAS = "mamochi.ventas"
CONTABILIDAD = "consumer-contabilidad"
REMEDY = "manage.py kafka_rights --apply"


def sell(maestro: Client, times: int = 3) -> None:
    for _ in range(times):
        assert maestro.sell().status == 202


@pytest.mark.parametrize("user", [CONTABILIDAD, "worker", "prepare"])
def test_only_web_and_relay_write(operator: Operator, user: str) -> None:
    assert operator.write_as(user, VENTAS) in ("TOPIC_AUTHORIZATION_FAILED", "CLUSTER_AUTHORIZATION_FAILED")


def test_only_prepare_creates_topics(operator: Operator) -> None:
    for command in ("create_topics", "kafka_rights"):
        options = ["--apply"] if command == "kafka_rights" else []
        done = operator.run(command, *options, **operator.security.password_variables("relay"))
        assert done.returncode != 0
        assert "User:relay lacks the right" in done.stderr


def test_rights_are_added_once(operator: Operator) -> None:
    assert "0 rights added" in operator.grant()
    operator.revoke(CONTABILIDAD, ResourceType.GROUP)
    assert f"User:{CONTABILIDAD}: 3 rights added" in operator.grant()
    assert "not needed" not in operator.grant()


def test_without_a_right_to_write_events_wait(system: System, maestro: Client, operator: Operator) -> None:
    """The web accepts them all the same; the relay sends them once it may, without a restart."""
    for user in ("web", "relay"):
        operator.revoke(user, ResourceType.TOPIC, VENTAS)
    sell(maestro)
    lacks = "lacks the right Write on topic mamochi.ventas (TOPIC_AUTHORIZATION_FAILED)"
    operator.wait_until_says("outbox-relay", f"User:relay {lacks}", REMEDY)
    assert f"User:web {lacks}" in operator.log("web")
    assert query(system, WAITING) != [(0,)]
    operator.grant()
    operator.wait_until_counted(maestro)
    operator.wait_until_ready("outbox-relay")


def test_relay_without_any_right_waits(system: System, maestro: Client, operator: Operator) -> None:
    """Its producer is then broken for good, and it makes another one."""
    for user in ("web", "relay"):
        operator.revoke(user)
    operator.restart("outbox-relay")
    sell(maestro)
    operator.wait_until_says("outbox-relay", "User:relay lacks the right Write on", REMEDY)
    operator.grant()
    operator.wait_until_counted(maestro)
    wait_until(lambda: query(system, WAITING) == [(0,)], SECONDS)
    operator.wait_until_ready("outbox-relay")


def test_consumer_without_rights_waits(maestro: Client, operator: Operator) -> None:
    operator.revoke(CONTABILIDAD, ResourceType.TOPIC, VENTAS)
    sell(maestro)
    topic = f"User:{CONTABILIDAD} lacks the right Read on topic {VENTAS} (TOPIC_AUTHORIZATION_FAILED)"
    operator.wait_until_says(CONTABILIDAD, topic, REMEDY)
    operator.revoke(CONTABILIDAD)
    operator.restart(CONTABILIDAD)
    sell(maestro)
    group = f"User:{CONTABILIDAD} lacks the right Read on group contabilidad (GROUP_AUTHORIZATION_FAILED)"
    operator.wait_until_says(CONTABILIDAD, group, REMEDY)
    operator.grant()
    operator.wait_until_counted(maestro)
    operator.wait_until_ready(CONTABILIDAD)
