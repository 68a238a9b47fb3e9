"""Event schemas: frozen per type, compared with the classes in both directions (design: Events)."""

import json
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from io import StringIO
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal
from uuid import uuid4

import jsonschema
import msgspec
import pytest
from django.core.management import CommandError, call_command
from hypothesis import given, settings
from hypothesis import strategies as st

from kafka_bridge.events import schemas
from kafka_bridge.events.codec import decode, encode
from kafka_bridge.events.event import Event, registered
from kafka_bridge.events.schemas import WHOLE_NUMBER, Breaks, Difference, compare, schema_of
from kafka_bridge.events.topics import Topic
from kafka_bridge.exceptions import Undecodable

CONTRACTS = Path(__file__).parent.parent / "contracts"
FROZEN = sorted(CONTRACTS.glob("*.json"))
TOPIC = Topic(name="mamochi.prueba")
METACLASS: Any = type(Event)
DeclareEvent = Callable[..., type[Event]]


@pytest.fixture
def declare() -> Iterator[DeclareEvent]:
    """Declares an event class with these annotated fields, again and again under one type; forgets them at the end."""
    event_type = f"mamochi.prueba.cambiada-{uuid4()}.v1"

    def make(fields: dict[str, Any], defaults: dict[str, Any] | None = None, own_topic: Topic = TOPIC) -> type[Event]:
        registered.pop(event_type, None)
        annotations = {"type": ClassVar[str], "topic": ClassVar[Topic], **fields}
        body = {"__annotations__": annotations, "__module__": __name__, "type": event_type, "topic": own_topic}
        made: type[Event] = METACLASS("Cambiada", (Event,), {**body, **(defaults or {})}, frozen=True, kw_only=True)
        return made

    yield make
    registered.pop(event_type, None)


class Linea(msgspec.Struct):
    codigo: str


class LineaConCantidad(msgspec.Struct):
    codigo: str
    cantidad: int


class LineaConNota(msgspec.Struct):
    codigo: str
    nota: str = ""


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
    ("a nested required field", Linea, LineaConCantidad, {OLD}),
    ("a nested field gone", LineaConCantidad, Linea, {NEW}),
    ("a nested optional field", list[Linea], list[LineaConNota], {None}),
    ("whole numbers for keys", dict[str, int] | None, dict[int, int] | None, {OLD}),
    ("free values", dict[str, int], dict[str, Any], {NEW}),
]


@pytest.mark.parametrize(("before", "after", "breaks"), [pytest.param(*row[1:], id=row[0]) for row in FROM_TO])
def test_each_change_of_a_field_breaks_who_it_breaks(
    declare: DeclareEvent, before: Any, after: Any, breaks: set[Breaks | None]
) -> None:
    old, new = schema_of(declare({"campo": before})), schema_of(declare({"campo": after}))
    differences = compare(old, new)
    assert {difference.breaks for difference in differences} == breaks
    assert all(difference.field.startswith("campo") for difference in differences)


def test_fields_come_and_go(declare: DeclareEvent) -> None:
    one, two = schema_of(declare({"uno": int})), schema_of(declare({"uno": int, "dos": int}))
    optional = schema_of(declare({"uno": int, "dos": int}, {"dos": 0}))
    assert compare(one, two) == [Difference("dos", "is new and required", OLD)]
    assert compare(one, optional) == [Difference("dos", "is a new optional field")]
    assert compare(two, one) == [Difference("dos", "is gone", NEW)]
    assert compare(optional, one) == [Difference("dos", "is gone", NEW)]
    assert compare(two, optional) == [Difference("dos", "was required and is optional now", NEW)]
    assert compare(optional, two) == [Difference("dos", "was optional and is required now", OLD)]


def test_another_topic_is_a_break_and_another_description_is_not(declare: DeclareEvent) -> None:
    here, there = declare({}), declare({}, None, Topic(name="mamochi.otro"))
    assert [difference.breaks for difference in compare(schema_of(here), schema_of(there))] == [NEW]
    described = {**schema_of(here), "description": "otra cosa"}
    assert compare(schema_of(here), described) == []


DATE_BOUNDS = ("formatMinimum", "formatExclusiveMaximum")
OFFSETS = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


# Properties: what the comparison lets pass does pass, in both directions


def payloads(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Values that a schema of msgspec's allows; optional fields come and go, unknown ones appear."""
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
        moments = st.datetimes(first + timedelta(days=1), end - timedelta(days=1), timezones=OFFSETS)  # wherever it is
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
def test_a_consumer_one_release_ahead_reads_what_the_frozen_schema_allows(file: Path, data: st.DataObject) -> None:
    payload = data.draw(payloads(json.loads(file.read_text())))
    event = decode({"ce_type": file.stem}, json.dumps(payload).encode())
    assert str(event.id) == payload["id"]


@pytest.mark.parametrize("file", FROZEN, ids=lambda file: file.stem)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_a_consumer_one_release_behind_reads_what_the_class_writes(file: Path, data: st.DataObject) -> None:
    frozen, event_class = json.loads(file.read_text()), registered[file.stem]
    drawn = data.draw(payloads(schema_of(event_class)))
    event = decode({"ce_type": file.stem}, json.dumps(drawn).encode())
    jsonschema.Draft202012Validator(frozen).validate(json.loads(encode(event).value))


@pytest.mark.parametrize("file", FROZEN, ids=lambda file: file.stem)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_what_the_frozen_schema_refuses_the_class_refuses(file: Path, data: st.DataObject) -> None:
    """The schema tells strangers the truth: one broken field, and both say no."""
    frozen = json.loads(file.read_text())
    payload = data.draw(payloads(frozen))
    name = data.draw(st.sampled_from(frozen["required"]))
    payload[name] = {"not": ["a", "value"]} if frozen["properties"][name].get("type") != "object" else 7
    assert not jsonschema.Draft202012Validator(frozen).is_valid(payload)
    with pytest.raises(Undecodable) as refused:
        decode({"ce_type": file.stem}, json.dumps(payload).encode())
    assert refused.value.reason == "schema"
    assert f"$.{name}" in str(refused.value)


def test_an_error_names_the_field_and_quotes_no_value(declare: DeclareEvent) -> None:
    event = declare({"origen": Literal["maestro", "automatico"]})
    value = json.dumps({"id": str(uuid4()), "time": "2026-11-23T15:04:05Z", "origen": "12.345.678-5"})
    with pytest.raises(Undecodable, match=r"^Invalid enum value - at `\$\.origen`$"):
        decode({"ce_type": event.type}, value.encode())


# The command


def run(folder: Path, *arguments: str) -> str:
    out = StringIO()
    call_command("check_event_schemas", "--folder", str(folder), *arguments, stdout=out)
    return out.getvalue()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the project's own contracts."""
    for file in FROZEN:
        (tmp_path / file.name).write_text(file.read_text())
    return tmp_path


def only_the_apps(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in registered if not (CONTRACTS / f"{name}.json").exists()]:
        monkeypatch.delitem(registered, name)


def test_the_projects_own_events_keep_to_their_frozen_schemas(monkeypatch: pytest.MonkeyPatch) -> None:
    assert FROZEN
    only_the_apps(monkeypatch)
    out = StringIO()
    call_command("check_event_schemas", stdout=out)
    assert f"{len(FROZEN)} event types keep to" in out.getvalue()


def test_a_break_is_explained_and_never_frozen(folder: Path, declare: DeclareEvent) -> None:
    event = declare({"cantidad": int})
    run(folder, "--write")
    declare({"cantidad": str})
    before = schemas.file_of(event.type, folder).read_text()
    for arguments in ([], ["--write"]):
        with pytest.raises(CommandError) as failure:
            run(folder, *arguments)
        said = str(failure.value)
        assert failure.value.returncode == 1
        assert "`cantidad` no longer takes integer" in said
        assert "producer one release behind" in said
        assert "one release behind refuses or misreads" in said
        assert f"declare {event.type[:-1]}2 beside it" in said
    assert schemas.file_of(event.type, folder).read_text() == before


def test_an_addition_is_asked_for_once_and_frozen(folder: Path, declare: DeclareEvent) -> None:
    event = declare({"uno": int})
    with pytest.raises(CommandError, match="a new type, not frozen yet"):
        run(folder)
    run(folder, "--write")
    declare({"uno": int, "dos": int}, {"dos": 0})
    with pytest.raises(CommandError, match="`dos` is a new optional field, which is allowed but not frozen yet"):
        run(folder)
    run(folder, "--write")
    assert "keep to" in run(folder)
    assert "dos" in (schemas.read_frozen(event.type, folder) or {})["properties"]


def test_a_type_that_is_gone_is_missed(folder: Path) -> None:
    (folder / "mamochi.ventas.venta-soñada.v1.json").write_text("{}")
    with pytest.raises(CommandError, match=r"venta-soñada\.v1: no class declares it any more"):
        run(folder, "--write")
