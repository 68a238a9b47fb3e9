"""`manage.py check`: mistakes in events and topics, settings that lose messages, brokers that differ from what is declared."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from io import StringIO
from typing import Any, ClassVar
from uuid import uuid4

import pytest
from confluent_kafka.admin import NewTopic
from django.core import checks as django_checks
from django.core.management import CommandError, call_command
from django.core.management.base import SystemCheckError

from deploy.embedded.waiting import wait_until
from kafka_bridge import checks
from kafka_bridge.brokers import client
from kafka_bridge.consuming.handlers import Consumer, consumers, handles
from kafka_bridge.events.event import Event, registered
from kafka_bridge.events.topics import DAY_MS, Topic
from tests.support.sandbox import SECONDS, Sandbox

TOPIC = Topic(name="mamochi.prueba")
METACLASS: Any = type(Event)
Declare = Callable[..., type[Event]]


@pytest.fixture
def declare() -> Iterator[Declare]:
    """Declares an event class; forgets it at the end."""
    made: list[str] = []

    def make(event_type: str = "", options: dict[str, Any] | None = None, **body: Any) -> type[Event]:
        name = event_type or f"mamochi.prueba.algo-{uuid4()}.v1"
        made.append(name)
        good = {
            "topic": TOPIC,
            "key": property(lambda event: str(event.id)),
            "__annotations__": {"type": ClassVar[str]},
        }
        fields = {name: value for name, value in {**good, **body}.items() if value is not None}
        event: type[Event] = METACLASS("Algo", (Event,), {**fields, "type": name}, frozen=True, **(options or {}))
        return event

    yield make
    for name in made:
        registered.pop(name, None)


def ids(messages: Any) -> list[str]:
    return [message.id for message in messages]


def test_the_projects_own_events_are_declared_well() -> None:
    call_command("check", tags=["events"])


def test_a_good_event_passes(declare: Declare) -> None:
    assert ids(checks.events_declared_well([declare()])) == []


def test_an_event_without_a_topic_is_an_error(declare: Declare) -> None:
    assert ids(checks.events_declared_well([declare(topic=None)])) == ["kafka_bridge.E001"]


@pytest.mark.parametrize(
    "name",
    ["mamochi.ventas.venta", "ventas.venta.v1", "mamochi.ventas.Venta.v1", "mamochi.ventas.venta.v0", "mamochi..x.v1"],
)
def test_a_type_that_is_no_name_is_an_error(declare: Declare, name: str) -> None:
    assert ids(checks.events_declared_well([declare(name)])) == ["kafka_bridge.E002"]


def test_an_event_without_a_key_is_an_error(declare: Declare) -> None:
    assert ids(checks.events_declared_well([declare(key=None)])) == ["kafka_bridge.E003"]


def test_an_event_that_refuses_unknown_fields_is_an_error(declare: Declare) -> None:
    strict = declare(options={"forbid_unknown_fields": True})
    assert ids(checks.events_declared_well([strict])) == ["kafka_bridge.E004"]


def test_an_event_that_json_schema_cannot_describe_is_an_error(declare: Declare) -> None:
    odd = declare(__annotations__={"type": ClassVar[str], "odd": complex})
    assert ids(checks.events_declared_well([odd])) == ["kafka_bridge.E005"]


def test_a_topic_declared_twice_and_differently_is_an_error(declare: Declare) -> None:
    one, same, other = declare(), declare(topic=replace(TOPIC)), declare(topic=replace(TOPIC, partitions=9))
    assert ids(checks.topics_agree([one, same])) == []
    assert ids(checks.topics_agree([one, same, other])) == ["kafka_bridge.E006"]


def test_the_same_mistakes_reach_manage_py_check(declare: Declare) -> None:
    declare("mamochi.prueba.sin-version")
    with pytest.raises(SystemCheckError, match=r"kafka_bridge\.E002"):
        call_command("check", tags=["events"])


def test_a_consumer_with_two_handlers_of_one_event_does_not_start(
    declare: Declare, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(consumers, "prueba", Consumer("prueba", 10))
    event = declare()
    handles(event, consumer="prueba")(lambda events: None)
    with pytest.raises(ValueError, match=f"prueba handles {event.type} twice"):
        handles(event, consumer="prueba")(lambda events: None)


def test_two_classes_of_one_type_do_not_start(declare: Declare) -> None:
    event = declare()
    with pytest.raises(TypeError, match="is already the type of"):
        METACLASS("Otro", (Event,), {"type": event.type, "topic": TOPIC, "__annotations__": {}}, frozen=True)


# Settings


POSTGRES = {"ENGINE": "django.db.backends.postgresql", "OPTIONS": {"connect_timeout": 3}}


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (checks.database_keeps(POSTGRES), []),
        (checks.database_keeps({"ENGINE": "django.db.backends.sqlite3"}), ["kafka_bridge.E101"]),
        (checks.database_keeps({**POSTGRES, "AUTOCOMMIT": False}), ["kafka_bridge.E102"]),
        (
            checks.database_keeps({**POSTGRES, "OPTIONS": {"options": "-c synchronous_commit=off"}}),
            ["kafka_bridge.E103"],
        ),
        (checks.database_keeps({**POSTGRES, "OPTIONS": {"options": "-c synchronous_commit=on"}}), []),
        (checks.client_is_ours({"bootstrap.servers": "a:9092", "security.protocol": "SASL_SSL"}), []),
        (checks.client_is_ours({"acks": "1", "enable.idempotence": "false"}), ["kafka_bridge.E104"] * 2),
        (checks.mail_leaves("django.core.mail.backends.smtp.EmailBackend"), []),
        (checks.mail_leaves("django.core.mail.backends.console.EmailBackend"), ["kafka_bridge.E105"]),
        (checks.topics_reach_back([TOPIC, replace(TOPIC, retention_ms=-1)]), ["kafka_bridge.W107"]),
        (checks.topics_reach_back([replace(TOPIC, retention_ms=DAY_MS)]), ["kafka_bridge.W106"]),
    ],
)
def test_settings_that_would_lose_messages_are_named(found: Any, expected: list[str]) -> None:
    assert ids(found) == expected


def test_the_deployment_check_runs_with_deploy_only(settings: Any) -> None:
    settings.KAFKA_CLIENT_CONFIG = {**settings.KAFKA_CLIENT_CONFIG, "acks": "0"}
    call_command("check", tags=["events"])
    with pytest.raises(SystemCheckError, match=r"kafka_bridge\.E104"):
        call_command("check", tags=["events"], deploy=True)


# Brokers


def single_broker(messages: Any) -> list[str]:
    """The tests' stack has one broker, which is worth a warning of its own."""
    found = ids(messages)
    assert found.count("kafka_bridge.W208") <= 1
    return [name for name in found if name != "kafka_bridge.W208"]


def test_a_topic_as_create_topics_makes_it_passes(sandbox: Sandbox) -> None:
    assert single_broker(checks.topics_are_as_declared([sandbox.topic])) == []


def test_a_topic_that_differs_from_its_declaration_is_an_error(sandbox: Sandbox) -> None:
    more = replace(sandbox.topic, partitions=sandbox.topic.partitions + 1)
    assert single_broker(checks.topics_are_as_declared([more])) == ["kafka_bridge.E203"]
    shorter = replace(sandbox.topic, retention_ms=DAY_MS)
    found = list(checks.topics_are_as_declared([shorter]))
    assert single_broker(found) == ["kafka_bridge.E204"]
    assert "retention.ms is 7776000000 on the brokers, declared is 86400000" in found[0].msg
    assert f"--add-config retention.ms={DAY_MS}" in str(found[0].hint)


def test_a_topic_that_is_missing_is_an_error(kafka: str) -> None:
    nowhere = Topic(name=f"nowhere.{uuid4()}")
    assert ids(checks.topics_are_as_declared([nowhere])) == ["kafka_bridge.E202"]
    assert nowhere.name not in client.admin().list_topics(timeout=SECONDS).topics  # looking does not make it


def test_a_topic_that_brokers_made_by_themselves_is_found_out(kafka: str) -> None:
    topic = Topic(name=f"strange.{uuid4()}", partitions=2)
    config = {"unclean.leader.election.enable": "true", "cleanup.policy": "compact"}
    client.admin().create_topics([NewTopic(topic.name, 2, 1, config=config)])[topic.name].result(SECONDS)
    wait_until(lambda: topic.name in client.admin().list_topics(timeout=SECONDS).topics, SECONDS)
    found = single_broker(checks.topics_are_as_declared([topic]))
    assert found == ["kafka_bridge.E204"] * 3 + ["kafka_bridge.E207"]  # timestamps, retention, cleanup


@pytest.mark.parametrize(
    ("config", "replicas", "brokers", "expected"),
    [
        ({"min.insync.replicas": "2"}, 3, 3, []),
        ({"min.insync.replicas": "1"}, 3, 3, ["kafka_bridge.E206"]),
        ({"min.insync.replicas": "1"}, 1, 3, ["kafka_bridge.E205"]),
        ({"min.insync.replicas": "1"}, 2, 2, []),
    ],
)
def test_what_an_acknowledgement_is_worth(
    config: dict[str, str], replicas: int, brokers: int, expected: list[str]
) -> None:
    assert ids(checks._durability(TOPIC, config, replicas, brokers)) == expected


def test_the_brokers_are_asked_only_when_their_tag_is_named(kafka: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []

    def declared_topics() -> list[Topic]:
        asked.append(True)
        return []

    monkeypatch.setattr(client, "declared_topics", declared_topics)
    call_command("check")
    call_command("check", tags=["events"])
    assert not asked
    call_command("check", tags=["kafka"])
    assert asked
    out = StringIO()
    call_command("check", list_tags=True, stdout=out)
    assert "kafka" in out.getvalue().split()
    assert not django_checks.tag_exists("kafka")


def test_brokers_that_do_not_answer_are_an_error_and_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    from confluent_kafka.admin import AdminClient

    nobody = AdminClient({"bootstrap.servers": "127.0.0.1:1", "log_level": 0})
    monkeypatch.setattr(client, "admin", lambda: nobody)
    monkeypatch.setattr(client, "TIMEOUT_SECONDS", 0.5)
    with pytest.raises((SystemCheckError, CommandError), match=r"kafka_bridge\.E201"):
        call_command("check", tags=["kafka"])
