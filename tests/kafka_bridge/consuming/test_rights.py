"""A consumer without rights to one of its topics, on a broker that checks them."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)
from django.conf import settings

from deploy.embedded.kafka import Broker, Kafka
from deploy.embedded.processes import Supervisor
from deploy.embedded.waiting import wait_until
from kafka_bridge.brokers import client
from kafka_bridge.publishing import producer
from tests.support.consumers import readiness
from tests.support.sandbox import SECONDS, Sandbox

pytestmark = pytest.mark.chaos
Topic = ResourceType.TOPIC
Group = ResourceType.GROUP


class StrictKafka(Kafka):
    """A broker that checks rights; what has no rule is allowed to all."""

    def config(self, broker: Broker) -> str:
        authorizer = "org.apache.kafka.metadata.authorizer.StandardAuthorizer"
        rules = {"authorizer.class.name": authorizer, "allow.everyone.if.no.acl.found": "true"}
        return super().config(broker) + "".join(f"{key}={value}\n" for key, value in rules.items())


@pytest.fixture
def strict_kafka(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    supervisor = Supervisor(str(uuid4()), tmp_path, lambda: None)
    kafka = StrictKafka(tmp_path, 1, "MkU3OEVBNTcwNTJENDM2Qk")
    kafka.start(supervisor, lambda _: None)
    monkeypatch.setattr(settings, "KAFKA_CLIENT_CONFIG", {"bootstrap.servers": kafka.url})
    monkeypatch.setattr(producer, "holder", producer.ProducerHolder())
    client.forget_clients()
    yield
    client.forget_clients()
    supervisor.close()
    kafka.brokers[0].process.stop()


def rule(kind: ResourceType, name: str, operation: AclOperation, permission: AclPermissionType) -> AclBinding:
    return AclBinding(kind, name, ResourcePatternType.LITERAL, "User:ANONYMOUS", "*", operation, permission)


def set_rules(*rules: AclBinding) -> None:
    admin: AdminClient = client.admin()
    for future in admin.create_acls(list(rules)).values():
        future.result()


def drop_rules(kind: ResourceType, name: str) -> None:
    admin: AdminClient = client.admin()
    any_one: Any = None  # the stubs want a text
    everything = AclBindingFilter(
        kind, name, ResourcePatternType.LITERAL, any_one, any_one, AclOperation.ANY, AclPermissionType.ANY
    )
    for future in admin.delete_acls([everything]).values():
        future.result()


@pytest.mark.usefixtures("strict_kafka", "table")
@pytest.mark.parametrize("may_describe", [False, True])
def test_a_topic_without_rights_is_not_ready(make_sandbox: Callable[..., Sandbox], may_describe: bool) -> None:
    closed, open_ = make_sandbox(), make_sandbox()
    open_.consumer.handlers[closed.event] = open_.handle
    name = closed.topic.name
    rules = [rule(Topic, name, AclOperation.READ, AclPermissionType.DENY)]
    if may_describe:
        rules.append(rule(Topic, name, AclOperation.DESCRIBE, AclPermissionType.ALLOW))
        rules.append(rule(Topic, name, AclOperation.WRITE, AclPermissionType.ALLOW))
    closed.publish(1)
    set_rules(*rules)
    with open_.running():
        open_.publish(2)
        wait_until(lambda: open_.rows() == [2], SECONDS)
        wait_until(lambda: readiness()[0] == 503 and f"{name} may not be read" in readiness()[1], SECONDS)
        drop_rules(Topic, name)
        wait_until(lambda: sorted(open_.rows()) == [1, 2], SECONDS)
        wait_until(lambda: readiness() == (200, ""), SECONDS)


@pytest.mark.usefixtures("strict_kafka", "table")
def test_a_group_without_rights_is_not_ready(make_sandbox: Callable[..., Sandbox]) -> None:
    sandbox, group = make_sandbox(), f"closed-{uuid4()}"
    sandbox.publish(1)
    set_rules(rule(Group, group, AclOperation.READ, AclPermissionType.DENY))
    with sandbox.running(sandbox.runner(group=group)):
        wait_until(lambda: readiness()[0] == 503 and "the consumer group may not be read" in readiness()[1], SECONDS)
        drop_rules(Group, group)
        wait_until(lambda: sandbox.rows() == [1], SECONDS)
        wait_until(lambda: readiness() == (200, ""), SECONDS)
