"""Frozen schemas, compared with the classes in both directions."""

import json
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Annotated, Any, Literal

import jsonschema
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kafka_bridge import conf
from kafka_bridge.events import Event, Topic
from kafka_bridge.events.codec import decode, encode
from kafka_bridge.events.event import registered
from kafka_bridge.events.schemas import WHOLE_NUMBER, Breaks, Difference, compare, schema_of
from kafka_bridge.exceptions import Undecodable
from tests.support.declare import redeclaring

assert conf.CONTRACTS
FROZEN = sorted(conf.CONTRACTS.glob("*.json"))
DATE_BOUNDS = ("formatMinimum", "formatExclusiveMaximum")
OFFSETS = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
DeclareEvent = Callable[..., type[Event]]


@pytest.fixture
def declare() -> Iterator[DeclareEvent]:
    """Provide `declare(fields, defaults, topic)`, again and again for one type."""
    with redeclaring(__name__) as declare:
        yield declare


class Line(msgspec.Struct):
    isbn: str


class LineWithCopies(msgspec.Struct):
    isbn: str
    copies: int


class LineWithNote(msgspec.Struct):
    isbn: str
    note: str = ""


OLD, NEW = Breaks.OLD_EVENTS, Breaks.NEW_EVENTS
FROM_TO: list[tuple[str, Any, Any, set[Breaks | None]]] = [
    ("the same", int, int, set()),
    ("another type", int, str, {OLD, NEW}),
    ("null too", int, int | None, {NEW}),
    ("null no more", int | None, int, {OLD}),
    ("a bound", int, Annotated[int, msgspec.Meta(ge=1)], {OLD}),
    ("no bound", Annotated[int, msgspec.Meta(ge=1)], int, {NEW}),
    ("a higher minimum", Annotated[int, msgspec.Meta(ge=1)], Annotated[int, msgspec.Meta(ge=2)], {OLD}),
    ("a higher maximum", Annotated[int, msgspec.Meta(le=1)], Annotated[int, msgspec.Meta(le=2)], {NEW}),
    ("a longer text", Annotated[str, msgspec.Meta(max_length=5)], Annotated[str, msgspec.Meta(max_length=9)], {NEW}),
    (
        "another pattern",
        Annotated[str, msgspec.Meta(pattern="a")],
        Annotated[str, msgspec.Meta(pattern="b")],
        {OLD, NEW},
    ),
    ("one value more", Literal["a", "b"], Literal["a", "b", "c"], {NEW}),
    ("one value less", Literal["a", "b"], Literal["a"], {OLD}),
    ("other elements", list[int], list[str], {OLD, NEW}),
    ("tighter elements", list[int], list[Annotated[int, msgspec.Meta(ge=0)]], {OLD}),
    ("other values", dict[str, int], dict[str, int | None], {NEW}),
    ("a nested required field", Line, LineWithCopies, {OLD}),
    ("a nested field gone", LineWithCopies, Line, {NEW}),
    ("a nested optional field", list[Line], list[LineWithNote], {None}),
    ("whole numbers for keys", dict[str, int] | None, dict[int, int] | None, {OLD}),
    ("free values", dict[str, int], dict[str, Any], {NEW}),
]


@pytest.mark.parametrize(("before", "after", "breaks"), [pytest.param(*row[1:], id=row[0]) for row in FROM_TO])
def test_a_changed_field_breaks(declare: DeclareEvent, before: Any, after: Any, breaks: set[Breaks | None]) -> None:
    old, new = schema_of(declare({"field": before})), schema_of(declare({"field": after}))
    differences = compare(old, new)
    assert {difference.breaks for difference in differences} == breaks
    assert all(difference.field.startswith("field") for difference in differences)


def test_fields_come_and_go(declare: DeclareEvent) -> None:
    one, two = schema_of(declare({"one": int})), schema_of(declare({"one": int, "two": int}))
    optional = schema_of(declare({"one": int, "two": int}, {"two": 0}))
    assert compare(one, two) == [Difference("two", "is new and required", OLD)]
    assert compare(one, optional) == [Difference("two", "is a new optional field")]
    assert compare(two, one) == [Difference("two", "is gone", NEW)]
    assert compare(optional, one) == [Difference("two", "is gone", NEW)]
    assert compare(two, optional) == [Difference("two", "was required and is optional now", NEW)]
    assert compare(optional, two) == [Difference("two", "was optional and is required now", OLD)]


def test_a_topic_counts_and_a_description_does_not(declare: DeclareEvent) -> None:
    here, there = declare({}), declare({}, None, Topic(name="mamochi.other"))
    assert [difference.breaks for difference in compare(schema_of(here), schema_of(there))] == [NEW]
    described = {**schema_of(here), "description": "something else"}
    assert compare(schema_of(here), described) == []


# What the comparison lets pass does pass, in both directions: with generated payloads


def payloads(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Generate values that the schema allows, with and without optional and unknown fields."""
    if "anyOf" in schema:
        return st.one_of([payloads(part) for part in schema["anyOf"]])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    return BY_TYPE[schema["type"]](schema)


def _objects(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    if "properties" not in schema:
        keys, values = _keys(schema.get("propertyNames", {})), payloads(schema["additionalProperties"])
        return st.dictionaries(keys, values, min_size=schema.get("minProperties", 0), max_size=5)
    required = set(schema.get("required", []))
    fields = {name: payloads(part) for name, part in schema["properties"].items()}
    return st.fixed_dictionaries(
        {name: field for name, field in fields.items() if name in required},
        optional={**{name: field for name, field in fields.items() if name not in required}, "x_unknown": st.text()},
    )


def _keys(schema: dict[str, Any]) -> st.SearchStrategy[str]:
    return st.integers().map(str) if schema.get("pattern") == WHOLE_NUMBER else _strings({"maxLength": 20, **schema})


def _strings(schema: dict[str, Any]) -> st.SearchStrategy[str]:
    if schema.get("format") == "uuid":
        return st.uuids().map(str)
    if schema.get("format") == "date-time":
        first, end = (datetime.fromisoformat(schema[bound]).replace(tzinfo=None) for bound in DATE_BOUNDS)
        moments = st.datetimes(first + timedelta(days=1), end - timedelta(days=1), timezones=OFFSETS)
        return moments.map(datetime.isoformat)
    longest = schema.get("maxLength", 200)
    if "pattern" in schema:
        return st.from_regex(schema["pattern"], fullmatch=True).filter(lambda text: len(text) <= longest)
    return st.text(min_size=schema.get("minLength", 0), max_size=longest)


BY_TYPE: dict[str, Callable[[dict[str, Any]], st.SearchStrategy[Any]]] = {
    "object": _objects,
    "array": lambda schema: st.lists(payloads(schema["items"]), max_size=5),
    "string": _strings,
    "integer": lambda schema: st.integers(schema.get("minimum", -(2**62)), schema.get("maximum", 2**62)),
    "number": lambda _schema: st.floats(allow_nan=False, allow_infinity=False),
    "boolean": lambda _schema: st.booleans(),
    "null": lambda _schema: st.none(),
}


@pytest.mark.parametrize("file", FROZEN, ids=lambda file: file.stem)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_a_newer_consumer_reads_old_events(file: Path, data: st.DataObject) -> None:
    payload = data.draw(payloads(json.loads(file.read_text())))
    event = decode({"ce_type": file.stem}, json.dumps(payload).encode())
    assert str(event.id) == payload["id"]


@pytest.mark.parametrize("file", FROZEN, ids=lambda file: file.stem)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_an_older_consumer_reads_new_events(file: Path, data: st.DataObject) -> None:
    frozen, event_class = json.loads(file.read_text()), registered[file.stem]
    drawn = data.draw(payloads(schema_of(event_class)))
    event = decode({"ce_type": file.stem}, json.dumps(drawn).encode())
    jsonschema.Draft202012Validator(frozen).validate(json.loads(encode(event).value))


@pytest.mark.parametrize("file", FROZEN, ids=lambda file: file.stem)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_schema_and_class_refuse_the_same(file: Path, data: st.DataObject) -> None:
    """Break one field: both refuse it, so other programs can rely on the schema."""
    frozen = json.loads(file.read_text())
    payload = data.draw(payloads(frozen))
    name = data.draw(st.sampled_from(frozen["required"]))
    payload[name] = {"not": ["a", "value"]} if frozen["properties"][name].get("type") != "object" else 7
    assert not jsonschema.Draft202012Validator(frozen).is_valid(payload)
    with pytest.raises(Undecodable) as refused:
        decode({"ce_type": file.stem}, json.dumps(payload).encode())
    assert refused.value.reason == "schema"
    assert f"$.{name}" in str(refused.value)
