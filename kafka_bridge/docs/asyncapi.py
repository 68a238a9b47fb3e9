"""AsyncAPI 3 from the classes: topics, partitions, keys, headers, payloads, examples, and who receives what.

What a person reads in it is in Spanish. https://www.asyncapi.com/docs/reference/specification/v3.0.0
"""

from collections.abc import Mapping
from itertools import groupby
from typing import Any, Final
from uuid import uuid5

import msgspec

from kafka_bridge import conf
from kafka_bridge.consuming.handlers import Consumer, consumers
from kafka_bridge.consuming.record import REPLAY_HEADER
from kafka_bridge.events.codec import encode
from kafka_bridge.events.event import Event, registered
from kafka_bridge.events.schemas import Schema, schema_of
from kafka_bridge.events.topics import DAY_MS, PRIORITY_PARTITION, Topic
from kafka_bridge.telemetry import traceparent

Object = dict[str, Any]

BINDING: Final = {"bindingVersion": "0.5.0"}
EXAMPLE_MOMENT: Final = "2026-11-23T18:04:05Z"


def document() -> Object:
    """The whole document, as JSON-like values."""
    by_topic = _events_by_topic()
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "MAMOCHI: eventos",
            "version": "1",
            "description": "Los eventos del gremio de los maestros motehuesilleros de Chile, en Apache Kafka. Dentro de "
            "una versión solo se agregan campos opcionales; un cambio incompatible es un tipo nuevo.",
        },
        "defaultContentType": "application/json",
        "servers": {"kafka": _server()},
        "channels": {topic.name: _channel(topic, group) for topic, group in by_topic.items()},
        "operations": {
            **{f"publicar.{topic.name}": _send(topic) for topic in by_topic},
            **{f"{name}.{topic.name}": _receive(consumers[name], topic) for name, topic in _subscriptions()},
        },
        "components": {
            "messages": {event.type: _message(event) for events in by_topic.values() for event in events},
            "schemas": {"cabeceras": _headers()},
        },
    }


def _events_by_topic() -> dict[Topic, list[type[Event]]]:
    events = sorted(registered.values(), key=lambda event: (event.topic.name, event.type))
    return {topic: list(group) for topic, group in groupby(events, key=lambda event: event.topic)}


def receivers(event: type[Event]) -> list[str]:
    """The names of the consumers that handle the event."""
    return sorted(name for name, consumer in consumers.items() if event in consumer.handlers)


def example_of(event: type[Event]) -> Event:
    """A valid event: the class's own `example` where it gives one, else values made from the schema."""
    fields = _inlined(schema_of(event))["properties"]
    made = {name: _example(name, schema) for name, schema in fields.items()}
    return msgspec.convert({**made, **event.example}, event)


def key_field(event: type[Event]) -> str:
    """The field whose value is the key; empty where the key is made otherwise."""
    made = example_of(event)
    return next((name for name in event.__struct_fields__ if str(getattr(made, name)) == made.key), "")


def payload_of(event: type[Event]) -> Schema:
    """The schema without references into itself: in another document they would lead nowhere."""
    schema = _inlined(schema_of(event))
    del schema["$schema"]
    return schema


# Parts of the document


def _server() -> Object:
    brokers = {"description": "host:puerto de los brokers, separados por comas", "default": "127.0.0.1:9092"}
    return {"host": "{brokers}", "protocol": "kafka", "variables": {"brokers": brokers}}


def _channel(topic: Topic, events: list[type[Event]]) -> Object:
    configuration = {
        **topic.config,
        "cleanup.policy": topic.config["cleanup.policy"].split(","),
        "retention.ms": topic.retention_ms,
    }
    binding = {"topic": topic.name, "partitions": topic.partitions, "topicConfiguration": configuration, **BINDING}
    return {
        "address": topic.name,
        "title": topic.name,
        "description": partitioning(topic),
        "messages": {event.type: {"$ref": f"#/components/messages/{event.type}"} for event in events},
        "bindings": {"kafka": binding},
    }


def partitioning(topic: Topic) -> str:
    """How the topic is cut into partitions, in words."""
    keyed = "La clave decide la partición (CRC-32), así los eventos de una misma cosa conservan su orden."
    if not topic.priority_lane:
        return f"{topic.partitions} particiones. {keyed}"
    return (
        f"{topic.partitions} particiones. La {PRIORITY_PARTITION} es solo de los prioritarios ({topic.priority_lane}), "
        f"que se atienden por una vía propia. Entre las demás: {keyed[0].lower()}{keyed[1:]}"
    )


def _message(event: type[Event]) -> Object:
    field = key_field(event)
    key = {"type": "string", "description": f"El valor de {field}." if field else "Ver la clase."}
    return {
        "name": event.type,
        "title": event.__name__,
        "summary": event.summary,
        "contentType": "application/json",
        "headers": {"$ref": "#/components/schemas/cabeceras"},
        "payload": payload_of(event),
        "bindings": {"kafka": {"key": key, **BINDING}},
        "examples": [_message_example(event)],
    }


def _message_example(event: type[Event]) -> Object:
    message = encode(example_of(event))
    headers = {
        name: value.decode() for name, value in message.headers if name != traceparent.HEADER
    }  # the reader's own
    return {"name": "ejemplo", "headers": headers, "payload": msgspec.json.decode(message.value)}


def _headers() -> Schema:
    required = {
        "ce_specversion": {"const": "1.0"},
        "ce_id": {"format": "uuid", "description": "El id del evento: de una repetición se aplica solo la primera."},
        "ce_type": {"description": "El tipo y su versión; decide cómo se lee el contenido."},
        "ce_source": {"const": conf.SOURCE},
        "ce_time": {"format": "date-time", "description": "Cuándo ocurrió, UTC."},
        "content-type": {"const": "application/json"},
    }
    replayed = {"description": "Solo en mensajes reenviados: el único consumidor que debe aplicarlo."}
    trace = {"description": "W3C Trace Context: la petición que lo causó, si se sabe."}
    known = {**required, REPLAY_HEADER: replayed, traceparent.HEADER: trace}
    properties = {name: {"type": "string", **rest} for name, rest in known.items()}
    return {"type": "object", "properties": properties, "required": list(required)}


def _send(topic: Topic) -> Object:
    return {
        "action": "send",
        "channel": {"$ref": f"#/channels/{topic.name}"},
        "title": f"Publicar en {topic.name}",
        "summary": "Se responde cuando todas las réplicas sincronizadas lo tienen (acks=all, productor idempotente).",
    }


def _subscriptions() -> list[tuple[str, Topic]]:
    return [(name, topic) for name, consumer in sorted(consumers.items()) for topic in consumer.topics]


def _receive(consumer: Consumer, topic: Topic) -> Object:
    types = sorted(event.type for event in consumer.handlers if event.topic == topic)
    groups = [consumer.name, *(f"{consumer.name}.{topic.priority_lane}" for _ in range(bool(topic.priority_lane)))]
    return {
        "action": "receive",
        "channel": {"$ref": f"#/channels/{topic.name}"},
        "title": f"{consumer.name} lee {topic.name}",
        "messages": [{"$ref": f"#/channels/{topic.name}/messages/{name}"} for name in types],
        "bindings": {"kafka": {"groupId": {"type": "string", "enum": groups}, **BINDING}},
    }


# The page for people


TYPE_NAMES: Final = {
    "string": "texto",
    "integer": "número entero",
    "number": "número",
    "boolean": "sí o no",
    "array": "lista",
    "object": "objeto",
    "null": "nada",
    "uuid": "UUID",
    "date-time": "fecha y hora",
}


def page() -> list[Object]:
    """What the page of events shows, by topic."""
    return [
        {
            "name": topic.name,
            "partitioning": partitioning(topic),
            "days": topic.retention_ms // DAY_MS,
            "events": [_shown(event) for event in events],
        }
        for topic, events in _events_by_topic().items()
    ]


def _shown(event: type[Event]) -> Object:
    schema = payload_of(event)
    required = set(schema["required"])
    return {
        "type": event.type,
        "summary": event.summary,
        "key": key_field(event),
        "receivers": receivers(event),
        "fields": [
            {"name": name, "type": _said(field), "required": name in required}
            for name, field in schema["properties"].items()
        ],
        "example": msgspec.json.format(msgspec.json.encode(example_of(event)), indent=2).decode(),
    }


def _said(schema: Schema) -> str:
    """A field's type in words."""
    if "anyOf" in schema:
        return " o ".join(_said(part) for part in schema["anyOf"])
    if "enum" in schema:
        return " o ".join(f"«{value}»" for value in schema["enum"])
    name = TYPE_NAMES.get(schema.get("format") or schema.get("type") or "", "cualquier valor")
    inner = schema.get("items") or schema.get("additionalProperties")
    minimum = f", desde {schema['minimum']}" if "minimum" in schema else ""
    return f"{name} de {_said(inner)}" if isinstance(inner, dict) and inner else f"{name}{minimum}"


# Schemas and examples


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
    """A value that the schema allows; `name` makes each id another one."""
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
    by_format = {"uuid": str(uuid5(conf.NAMESPACE, name)), "date-time": EXAMPLE_MOMENT}
    if schema.get("type") == "string":
        return by_format.get(schema.get("format", ""), name)
    return {"integer": schema.get("minimum", 1), "number": schema.get("minimum", 1.0), "boolean": True}.get(
        schema.get("type", "")
    )
