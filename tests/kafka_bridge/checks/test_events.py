"""Mistakes in the declarations of events and topics, which `manage.py check` reports."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, ClassVar

import pytest
from django.core.checks import CheckMessage
from django.core.management import call_command
from django.core.management.base import SystemCheckError

from kafka_bridge.checks import events as checks
from tests.support.declare import TOPIC, Declare


def ids(messages: Iterable[CheckMessage]) -> list[str | None]:
    return [message.id for message in messages]


def test_the_projects_events_pass() -> None:
    call_command("check", tags=["events"])


def test_a_good_event_passes(declare: Declare) -> None:
    assert ids(checks.events_declared_well([declare()])) == []


def test_a_topic_is_required(declare: Declare) -> None:
    assert ids(checks.events_declared_well([declare(topic=None)])) == ["kafka_bridge.E001"]


@pytest.mark.parametrize(
    "name",
    [
        "mamochi.orders.placed",
        "orders.placed.v1",
        "mamochi.orders.Placed.v1",
        "mamochi.orders.placed.v0",
        "mamochi..x.v1",
    ],
)
def test_a_type_follows_the_naming_rule(declare: Declare, name: str) -> None:
    assert ids(checks.events_declared_well([declare(name)])) == ["kafka_bridge.E002"]


def test_a_key_is_required(declare: Declare) -> None:
    assert ids(checks.events_declared_well([declare(key=None)])) == ["kafka_bridge.E003"]


def test_unknown_fields_are_allowed(declare: Declare) -> None:
    strict = declare(options={"forbid_unknown_fields": True})
    assert ids(checks.events_declared_well([strict])) == ["kafka_bridge.E004"]


def test_fields_have_a_json_schema(declare: Declare) -> None:
    odd = declare(__annotations__={"type": ClassVar[str], "odd": complex})
    assert ids(checks.events_declared_well([odd])) == ["kafka_bridge.E005"]


def test_a_topic_has_one_declaration(declare: Declare) -> None:
    one, same, other = declare(), declare(topic=replace(TOPIC)), declare(topic=replace(TOPIC, partitions=9))
    assert ids(checks.topics_agree([one, same])) == []
    assert ids(checks.topics_agree([one, same, other])) == ["kafka_bridge.E006"]


def test_manage_py_check_reports_mistakes(declare: Declare) -> None:
    declare("mamochi.sandbox.without-version")
    with pytest.raises(SystemCheckError, match=r"kafka_bridge\.E002"):
        call_command("check", tags=["events"])


def test_manage_py_check_asks_no_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise AssertionError("a check asked the brokers")

    monkeypatch.setattr("kafka_bridge.brokers.client.admin", fail)
    call_command("check")
    call_command("check", tags=["events"])
