"""The rights that each process needs, from the registered events and consumers."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from kafka_bridge.consuming.handlers import consumers
from kafka_bridge.rights import acls, table


def operations(process: str, kind: str) -> set[str]:
    return {operation for right in table.by_process()[process] if right.kind == kind for operation in right.operations}


def test_only_web_and_relay_may_write() -> None:
    assert {process for process in table.by_process() if "Write" in operations(process, "topic")} == {"web", "relay"}
    assert {process for process in table.by_process() if "Create" in operations(process, "topic")} == {"prepare"}


def test_consumer_reads_its_topics_only() -> None:
    for name, consumer in consumers.items():
        rights = table.by_process()[f"consumer-{name}"]
        read = {(right.kind, right.name) for right in rights if "Read" in right.operations}
        groups = {("group", name), *(("group", f"{name}.{lane}") for lane in consumer.lanes)}
        assert read == {("topic", topic.name) for topic in consumer.topics} | groups


def test_every_right_has_its_rule() -> None:
    for process, rights in table.by_process().items():
        found = acls.bindings(f"User:{process}", rights)
        assert len(found) == len(set(found)) == sum(len(right.operations) for right in rights)


def test_one_user_of_all_gets_all_rights() -> None:
    out = StringIO()
    call_command("kafka_rights", principal="User:guild", commands=True, stdout=out)
    lines = out.getvalue().splitlines()
    assert len(lines) == len(set(lines))
    assert all("--allow-principal User:guild " in line for line in lines)
    assert any("--topic mamochi.ventas --operation Write" in line for line in lines)
    with pytest.raises(CommandError, match="--principal"):
        call_command("kafka_rights", principal="guild", stdout=out)


def test_table_is_printed() -> None:
    out = StringIO()
    call_command("kafka_rights", stdout=out)
    assert "User:consumer-aprobacion" in out.getvalue()
    assert "  group aprobacion.paid: Read\n" in out.getvalue()
