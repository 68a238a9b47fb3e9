"""The frozen JSON Schema of each event type, and its comparison with the event's class.

Producers and consumers are deployed one after the other. So within a version, a consumer with the
new class must read the events of a producer one release behind, and a consumer with the old class
those of a producer one release ahead. An optional field may be added; any other change needs a new
version of the type.
"""

import inspect
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from itertools import product
from pathlib import Path
from typing import Any, Final, cast

import msgspec

from kafka_bridge.events.event import Event

Schema = dict[str, Any]

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
# The engine's own keyword in the schema: the topic is part of the contract.
TOPIC: Final = "x-topic"
WHOLE_NUMBER: Final = "^-?(0|[1-9][0-9]*)$"
ANNOTATIONS: Final = {"$schema", "$defs", "title", "description", "default", "examples", TOPIC}
COMPARED_APART: Final = {"properties", "required", "items", "additionalProperties", "enum", "anyOf", "type"}
LOWER_BOUNDS: Final = {"minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"}
UPPER_BOUNDS: Final = {"maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"}


class Breaks(Enum):
    """Which reader fails when producers and consumers are one release apart."""

    OLD_EVENTS = "a consumer of this release refuses events of a producer one release behind (and those in the topic)"
    NEW_EVENTS = "a consumer one release behind refuses or misreads events of this release"


@dataclass(frozen=True)
class Difference:
    """A difference between a frozen schema and a class.

    `change` is a phrase about the field ("is new and required"). Without `breaks` the change is an
    allowed addition that only has to be frozen.
    """

    field: str
    change: str
    breaks: Breaks | None = None


def schema_of(event: type[Event]) -> Schema:
    """Return the JSON Schema of the event's value.

    Its title is the type, so that renaming the class changes nothing.
    """
    schema = msgspec.json.schema(event)
    definitions = schema["$defs"]
    own = definitions.pop(schema["$ref"].rsplit("/", 1)[-1])
    for field in cast(msgspec.inspect.StructType, msgspec.inspect.type_info(event)).fields:
        _add_key_patterns(field.type, own["properties"][field.encode_name])
    nested = {"$defs": definitions} if definitions else {}
    described = {"title": event.type, "description": inspect.getdoc(event) or ""}
    return {"$schema": DIALECT, **own, **described, TOPIC: event.topic.name, **nested}


def _add_key_patterns(kind: msgspec.inspect.Type, schema: Schema) -> None:
    """Say in the schema that the keys of a `dict[int, ...]` are whole numbers; msgspec omits it."""
    if isinstance(kind, msgspec.inspect.UnionType):
        for part, alternative in product(kind.types, schema.get("anyOf", [])):
            _add_key_patterns(part, alternative)
    elif isinstance(kind, msgspec.inspect.ListType) and schema.get("type") == "array":
        _add_key_patterns(kind.item_type, schema["items"])
    elif isinstance(kind, msgspec.inspect.DictType) and schema.get("type") == "object":
        if isinstance(kind.key_type, msgspec.inspect.IntType):
            schema["propertyNames"] = {"pattern": WHOLE_NUMBER}
        _add_key_patterns(kind.value_type, schema.get("additionalProperties", {}))


def file_of(event_type: str, folder: Path) -> Path:
    """Return the path of a type's frozen schema, whether the file exists or not."""
    return folder / f"{event_type}.json"


def read_frozen(event_type: str, folder: Path) -> Schema | None:
    """Return the type's frozen schema; None if it was never frozen.

    Raises ValueError if the file holds no JSON.
    """
    file = file_of(event_type, folder)
    return json.loads(file.read_text()) if file.exists() else None


def freeze(event: type[Event], folder: Path) -> None:
    """Write the event's current schema into the folder, which is created if it is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    file_of(event.type, folder).write_text(json.dumps(schema_of(event), indent=2, ensure_ascii=False) + "\n")


def orphans(events: Iterable[type[Event]], folder: Path) -> list[str]:
    """Return the frozen types that no class declares any more."""
    declared = {event.type for event in events}
    return sorted({file.stem for file in folder.glob("*.json")} - declared)


def compare(frozen: Schema, current: Schema) -> list[Difference]:
    """Return the differences that a reader of events would notice, in both directions.

    Annotations (titles, descriptions, examples) are ignored.
    """
    return [*_topics(frozen, current), *_Comparison(frozen, current).schemas("", frozen, current)]


def _topics(frozen: Schema, current: Schema) -> Iterator[Difference]:
    before, after = frozen.get(TOPIC), current.get(TOPIC)
    if before != after:
        yield Difference("", f"moved from the topic {before} to {after}", Breaks.NEW_EVENTS)


class _Comparison:
    """A walk through two schemas side by side.

    The constructor's `old` and `new` are the whole documents, which hold the definitions that
    references name.
    """

    def __init__(self, old: Schema, new: Schema) -> None:
        self.old_definitions = old.get("$defs", {})
        self.new_definitions = new.get("$defs", {})

    def schemas(self, path: str, old: Schema, new: Schema) -> Iterator[Difference]:
        before, after = _kinds(old, self.old_definitions), _kinds(new, self.new_definitions)
        for kind in before.keys() - after.keys():
            yield Difference(path, f"no longer accepts {kind}", Breaks.OLD_EVENTS)
        for kind in after.keys() - before.keys():
            yield Difference(path, f"now also accepts {kind}", Breaks.NEW_EVENTS)
        for kind in sorted(before.keys() & after.keys()):
            yield from self._kind(path, before[kind], after[kind])

    def _kind(self, path: str, old: Schema, new: Schema) -> Iterator[Difference]:
        yield from _enums(path, old, new)
        yield from self._properties(path, old, new)
        yield from self._nested(f"{path}[]", old.get("items"), new.get("items"))
        yield from self._nested(f"{path}.*", old.get("additionalProperties"), new.get("additionalProperties"))
        for keyword in sorted((old.keys() | new.keys()) - ANNOTATIONS - COMPARED_APART):
            yield from _constraint(path, keyword, old.get(keyword), new.get(keyword))

    def _nested(self, path: str, old: Schema | bool | None, new: Schema | bool | None) -> Iterator[Difference]:
        """Compare the schemas of a list's elements, or of a dict's values.

        A missing schema and `true` accept anything, `false` accepts nothing.
        """
        if isinstance(old, dict) and isinstance(new, dict):
            yield from self.schemas(path, old, new)
        elif old != new:
            yield from _constraint(path, "the allowed content", old, new)

    def _properties(self, path: str, old: Schema, new: Schema) -> Iterator[Difference]:
        before, after = old.get("properties", {}), new.get("properties", {})
        for name in sorted(before.keys() | after.keys()):
            where = f"{path}.{name}".lstrip(".")
            if name not in after:
                yield Difference(where, "is gone", Breaks.NEW_EVENTS)
            elif name not in before:
                yield _added(where, name in new.get("required", []))
            else:
                yield from _required(where, name in old.get("required", []), name in new.get("required", []))
                yield from self.schemas(where, before[name], after[name])


def _kinds(schema: Schema, definitions: dict[str, Schema]) -> dict[str, Schema]:
    """Return the alternatives that a schema allows, each by its JSON type."""
    if "$ref" in schema:
        return _kinds(definitions[schema["$ref"].rsplit("/", 1)[-1]], definitions)
    if "anyOf" in schema:
        kinds: dict[str, Schema] = {}
        for kind, found in (item for part in schema["anyOf"] for item in _kinds(part, definitions).items()):
            # Several of one kind: a union of tagged structs, told apart by their titles.
            kinds[f"{kind} {found.get('title')}" if kind in kinds else kind] = found
        return kinds
    return {schema.get("type") or ("one of a list" if "enum" in schema else "anything"): schema}


def _added(where: str, required: bool) -> Difference:
    if required:
        return Difference(where, "is new and required", Breaks.OLD_EVENTS)
    return Difference(where, "is a new optional field")


def _required(where: str, before: bool, after: bool) -> Iterator[Difference]:
    if before and not after:
        yield Difference(where, "was required and is optional now", Breaks.NEW_EVENTS)
    if after and not before:
        yield Difference(where, "was optional and is required now", Breaks.OLD_EVENTS)


def _enums(path: str, old: Schema, new: Schema) -> Iterator[Difference]:
    before, after = old.get("enum", []), new.get("enum", [])
    for value in before:
        if value not in after:
            yield Difference(path, f"no longer accepts the value {value!r}", Breaks.OLD_EVENTS)
    for value in after:
        if value not in before:
            yield Difference(path, f"now also accepts the value {value!r}", Breaks.NEW_EVENTS)


def _constraint(path: str, keyword: str, before: Any, after: Any) -> Iterator[Difference]:
    """Compare one keyword of a schema.

    If it became tighter, this release refuses older events. If it became looser, older consumers
    refuse newer events.
    """
    if before == after:
        return
    change = f"{keyword} was {_shown(before)} and is {_shown(after)}"
    if _is_tighter(keyword, before, after):
        yield Difference(path, change, Breaks.OLD_EVENTS)
    if _is_tighter(keyword, after, before):
        yield Difference(path, change, Breaks.NEW_EVENTS)


def _is_tighter(keyword: str, before: Any, after: Any) -> bool:
    """Return True if `after` refuses something that `before` accepted.

    Of two patterns or formats, each may refuse something that the other accepts.
    """
    if before is None or after is None:
        return after is not None
    if keyword in LOWER_BOUNDS:
        return bool(after > before)
    if keyword in UPPER_BOUNDS:
        return bool(after < before)
    return True


def _shown(value: Any) -> str:
    return "not set" if value is None else json.dumps(value, ensure_ascii=False)
