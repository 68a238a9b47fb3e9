"""Schemas and examples of events, for documentation."""

from collections.abc import Mapping
from typing import Any, Final
from uuid import uuid5

import msgspec

from kafka_bridge import conf
from kafka_bridge.events.event import Event
from kafka_bridge.events.schemas import Schema, schema_of

EXAMPLE_TIME: Final = "2026-11-23T18:04:05Z"


def payload_schema(event: type[Event]) -> Schema:
    """Return the JSON Schema of an event, in which definitions replace the references to them.

    The schema becomes a part of another document, where the references would lead nowhere.
    """
    schema = _inlined(schema_of(event))
    del schema["$schema"]
    return schema


def example_of(event: type[Event]) -> Event:
    """Return a valid event: the class's `example`, completed with values made from the schema."""
    fields = payload_schema(event)["properties"]
    made = {name: _example(name, schema) for name, schema in fields.items()}
    return msgspec.convert({**made, **event.example}, event)


def key_field(event: type[Event]) -> str:
    """Return the name of the field whose value is the key; empty if the key is made otherwise."""
    example = example_of(event)
    return next((name for name in event.__struct_fields__ if str(getattr(example, name)) == example.key), "")


def _inlined(schema: Schema) -> Schema:
    definitions = schema.get("$defs", {})

    def inline(part: Any) -> Any:
        if isinstance(part, list):
            return [inline(element) for element in part]
        if not isinstance(part, dict):
            return part
        if "$ref" in part:
            return inline(definitions[part["$ref"].rsplit("/", 1)[-1]])
        return {name: inline(element) for name, element in part.items() if name != "$defs"}

    inlined: Schema = inline(schema)
    return inlined


def _example(name: str, schema: Schema) -> Any:
    """Return a value that the schema allows. `name` makes the example ids of two fields differ."""
    if "default" in schema:
        return schema["default"]
    if "anyOf" in schema:
        return _example(name, schema["anyOf"][0])
    if "enum" in schema:
        return schema["enum"][0]
    if schema.get("type") == "object":
        return {part: _example(f"{name}.{part}", inner) for part, inner in schema.get("properties", {}).items()}
    if schema.get("type") == "array":
        return [_example(name, schema["items"])]
    return _scalar(name, schema)


def _scalar(name: str, schema: Mapping[str, Any]) -> Any:
    if schema.get("type") == "string":
        by_format = {"uuid": str(uuid5(conf.NAMESPACE, name)), "date-time": EXAMPLE_TIME}
        return by_format.get(schema.get("format", ""), name)
    by_type = {"integer": schema.get("minimum", 1), "number": schema.get("minimum", 1.0), "boolean": True}
    return by_type.get(schema.get("type", ""))
