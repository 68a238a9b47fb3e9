"""The page of events for people: topics, events, their fields, examples and receivers."""

from typing import Any, Final

import msgspec
from django.utils.translation import gettext, pgettext
from django.utils.translation import gettext_lazy as _

from kafka_bridge import conf
from kafka_bridge.docs import asyncapi
from kafka_bridge.docs.examples import example_of, key_field, payload_schema
from kafka_bridge.events.event import Event
from kafka_bridge.events.schemas import Schema
from kafka_bridge.events.topics import DAY_MS

Object = dict[str, Any]

# Types and formats of JSON Schema, as the table of fields names them.
TYPE_NAMES: Final = {
    "string": _("text"),
    "integer": _("integer"),
    "number": _("number"),
    "boolean": _("yes or no"),
    "array": _("list"),
    "object": _("object"),
    "null": _("nothing"),
    "uuid": "UUID",
    "date-time": _("date and time"),
}


def context() -> Object:
    """Return the variables of the page's template."""
    return {
        "title": asyncapi.title(),
        "product": conf.TITLE,
        "topics": [
            {
                "name": topic.name,
                "partitioning": asyncapi.partitioning(topic),
                "days": topic.retention_ms // DAY_MS,
                "events": [_event(event) for event in events],
            }
            for topic, events in asyncapi.events_by_topic().items()
        ],
    }


def _event(event: type[Event]) -> Object:
    schema = payload_schema(event)
    required = set(schema["required"])
    return {
        "type": event.type,
        "summary": event.summary,
        "key": key_field(event),
        "receivers": asyncapi.receivers(event),
        "fields": [
            {"name": name, "type": _type_in_words(field), "required": name in required}
            for name, field in schema["properties"].items()
        ],
        "example": msgspec.json.format(msgspec.json.encode(example_of(event)), indent=2).decode(),
    }


def _type_in_words(schema: Schema) -> str:
    """Return the type of a field for people, such as "list of text" or "integer, from 1"."""
    separator = f" {pgettext('between alternatives', 'or')} "
    if "anyOf" in schema:
        return separator.join(_type_in_words(part) for part in schema["anyOf"])
    if "enum" in schema:
        return separator.join(gettext('"%(value)s"') % {"value": value} for value in schema["enum"])
    name = str(TYPE_NAMES.get(schema.get("format") or schema.get("type") or "", _("any value")))
    inner = schema.get("items") or schema.get("additionalProperties")
    if isinstance(inner, dict) and inner:
        return gettext("%(collection)s of %(element)s") % {"collection": name, "element": _type_in_words(inner)}
    if "minimum" in schema:
        return gettext("%(type)s, from %(minimum)s") % {"type": name, "minimum": schema["minimum"]}
    return name
