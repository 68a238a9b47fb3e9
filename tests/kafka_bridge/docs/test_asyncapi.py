"""The AsyncAPI document: valid by the official schema, and complete."""

import gzip
import json
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from kafka_bridge.consuming.handlers import consumers
from kafka_bridge.docs import asyncapi, examples
from kafka_bridge.events.codec import decode, encode
from kafka_bridge.events.event import registered

OFFICIAL = Path(__file__).parent / "data" / "asyncapi-3.0.0.schema.json.gz"
EVENTS = [pytest.param(event, id=name) for name, event in registered.items() if name.startswith("mamochi.")]


@pytest.fixture(scope="module")
def official() -> jsonschema.Draft7Validator:
    return jsonschema.Draft7Validator(json.loads(gzip.decompress(OFFICIAL.read_bytes())))


@pytest.fixture
def document() -> dict[str, Any]:
    made: dict[str, Any] = json.loads(json.dumps(asyncapi.document()))
    return made


def test_it_is_valid_by_the_official_schema(official: jsonschema.Draft7Validator, document: dict[str, Any]) -> None:
    assert [error.message for error in official.iter_errors(document)] == []


@pytest.mark.parametrize(
    "broken",
    [
        lambda document: document.pop("info"),
        lambda document: document["channels"]["mamochi.ventas"].update(adress="x"),
        lambda document: document["channels"]["mamochi.ventas"]["bindings"]["kafka"].update(partitions=0),
        lambda document: document["operations"]["contabilidad.mamochi.ventas"].update(action="subscribe"),
    ],
)
def test_the_official_schema_rejects_mistakes(
    official: jsonschema.Draft7Validator, document: dict[str, Any], broken: Any
) -> None:
    broken(document)
    assert not official.is_valid(document)


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for inner in value.values():
            yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


def test_every_reference_resolves(document: dict[str, Any]) -> None:
    found = list(references(document))
    assert found
    for reference in found:
        place: Any = document
        for name in reference.removeprefix("#/").split("/"):
            place = place[name]
        assert place


def test_it_has_every_event_topic_and_consumer(document: dict[str, Any]) -> None:
    assert set(document["components"]["messages"]) == set(registered)
    assert set(document["channels"]) == {event.topic.name for event in registered.values()}
    received = {
        (group, reference["$ref"].rsplit("/", 1)[1])
        for operation in document["operations"].values()
        if operation["action"] == "receive"
        for group in operation["bindings"]["kafka"]["groupId"]["enum"]
        for reference in operation["messages"]
    }
    for consumer in consumers.values():
        for event in consumer.handlers:
            assert (consumer.name, event.type) in received
    assert ("aprobacion.paid", "mamochi.inscripciones.inscripcion-recibida.v1") in received


def test_a_topic_has_its_partitions_and_lane(document: dict[str, Any]) -> None:
    channel = document["channels"]["mamochi.inscripciones"]
    topic = registered["mamochi.inscripciones.inscripcion-recibida.v1"].topic
    assert channel["bindings"]["kafka"]["partitions"] == topic.partitions
    assert channel["bindings"]["kafka"]["topicConfiguration"]["retention.ms"] == topic.retention_ms
    assert "La 0 es solo de los prioritarios (paid)" in channel["description"]


@pytest.mark.parametrize("event", EVENTS)
def test_an_example_can_be_consumed(event: Any) -> None:
    message = asyncapi.document()["components"]["messages"][event.type]
    example = message["examples"][0]
    jsonschema.Draft7Validator(message["payload"]).validate(example["payload"])
    jsonschema.Draft7Validator(asyncapi.document()["components"]["schemas"]["headers"]).validate(example["headers"])
    decoded = decode(example["headers"], json.dumps(example["payload"]).encode())
    assert decoded == examples.example_of(event)
    assert encode(decoded).key.decode() == str(getattr(decoded, examples.key_field(event)))


@pytest.mark.parametrize("event", EVENTS)
def test_every_event_has_summary_and_example(event: Any) -> None:
    assert event.summary.endswith(".")
    assert event.example


def test_it_is_served_as_json(client: Client, document: dict[str, Any]) -> None:
    answer = client.get("/api/asyncapi/")
    assert answer.status_code == 200
    assert answer["Content-Type"] == "application/json"
    assert answer.json() == document


def test_the_command_writes_the_document(tmp_path: Path, document: dict[str, Any]) -> None:
    out = StringIO()
    call_command("asyncapi", stdout=out)
    assert json.loads(out.getvalue()) == document
    call_command("asyncapi", "--output", str(tmp_path / "asyncapi.json"), stdout=out)
    assert json.loads((tmp_path / "asyncapi.json").read_text()) == document
    with pytest.raises(CommandError, match="cannot be written"):
        call_command("asyncapi", "--output", str(tmp_path / "nowhere" / "x.json"))
