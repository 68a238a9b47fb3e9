"""The AsyncAPI 3 document of all events, topics and consumers, made from their classes.

Descriptions are in the language of the project. The specification is at
https://www.asyncapi.com/docs/reference/specification/v3.0.0
"""

from itertools import groupby
from typing import Any, Final

import msgspec
from django.utils.translation import gettext as _

from kafka_bridge import conf
from kafka_bridge.consuming.handlers import Consumer, consumers
from kafka_bridge.consuming.record import REPLAY_HEADER
from kafka_bridge.docs.examples import example_of, key_field, payload_schema
from kafka_bridge.events.codec import encode
from kafka_bridge.events.event import Event, registered
from kafka_bridge.events.schemas import Schema
from kafka_bridge.events.topics import PRIORITY_PARTITION, Topic
from kafka_bridge.telemetry import traceparent

Object = dict[str, Any]

BINDING: Final = {"bindingVersion": "0.5.0"}


def document() -> Object:
    """Return the whole document as JSON-like values."""
    by_topic = events_by_topic()
    return {
        "asyncapi": "3.0.0",
        "info": {"title": title(), "version": "1", "description": _description()},
        "defaultContentType": "application/json",
        "servers": {"kafka": _server()},
        "channels": {topic.name: _channel(topic, group) for topic, group in by_topic.items()},
        "operations": {
            **{f"publish.{topic.name}": _send(topic) for topic in by_topic},
            **{f"{name}.{topic.name}": _receive(consumers[name], topic) for name, topic in _subscriptions()},
        },
        "components": {
            "messages": {event.type: _message(event) for events in by_topic.values() for event in events},
            "schemas": {"headers": _headers()},
        },
    }


def title() -> str:
    """Return the title of the document and of the page of events."""
    return _("%(product)s: events") % {"product": conf.TITLE}


def events_by_topic() -> dict[Topic, list[type[Event]]]:
    """Return the registered events by topic, both sorted by name."""
    events = sorted(registered.values(), key=lambda event: (event.topic.name, event.type))
    return {topic: list(group) for topic, group in groupby(events, key=lambda event: event.topic)}


def receivers(event: type[Event]) -> list[str]:
    """Return the names of the consumers that handle the event, sorted."""
    return sorted(name for name, consumer in consumers.items() if event in consumer.handlers)


def partitioning(topic: Topic) -> str:
    """Return a description of the topic's partitions and of how messages are assigned to them."""
    if not topic.priority_lane:
        keyed = _(
            "%(count)d partitions. The key decides the partition (CRC-32), so the events of one thing keep their order."
        )
        return keyed % {"count": topic.partitions}
    with_lane = _(
        "%(count)d partitions. Partition %(priority)d is only for priority events (%(lane)s), which have a lane of "
        "their own. Among the others: the key decides the partition (CRC-32), so the events of one thing keep their "
        "order."
    )
    return with_lane % {"count": topic.partitions, "priority": PRIORITY_PARTITION, "lane": topic.priority_lane}


def _description() -> str:
    rule = _("Within a version only optional fields are added; an incompatible change is a new type.")
    return f"{conf.DESCRIPTION} {rule}".strip()


def _server() -> Object:
    brokers = {"description": _("host:port of the brokers, separated by commas"), "default": "127.0.0.1:9092"}
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


def _send(topic: Topic) -> Object:
    return {
        "action": "send",
        "channel": {"$ref": f"#/channels/{topic.name}"},
        "title": _("Publish to %(topic)s") % {"topic": topic.name},
        "summary": _("The answer comes when all in-sync replicas have it (acks=all, idempotent producer)."),
    }


def _subscriptions() -> list[tuple[str, Topic]]:
    return [(name, topic) for name, consumer in sorted(consumers.items()) for topic in consumer.topics]


def _receive(consumer: Consumer, topic: Topic) -> Object:
    types = sorted(event.type for event in consumer.handlers if event.topic == topic)
    groups = [consumer.name]
    if topic.priority_lane:
        groups.append(f"{consumer.name}.{topic.priority_lane}")
    return {
        "action": "receive",
        "channel": {"$ref": f"#/channels/{topic.name}"},
        "title": _("%(consumer)s reads %(topic)s") % {"consumer": consumer.name, "topic": topic.name},
        "messages": [{"$ref": f"#/channels/{topic.name}/messages/{name}"} for name in types],
        "bindings": {"kafka": {"groupId": {"type": "string", "enum": groups}, **BINDING}},
    }


def _message(event: type[Event]) -> Object:
    field = key_field(event)
    key_description = _("The value of %(field)s.") % {"field": field} if field else _("See the class.")
    return {
        "name": event.type,
        "title": event.__name__,
        "summary": event.summary,
        "contentType": "application/json",
        "headers": {"$ref": "#/components/schemas/headers"},
        "payload": payload_schema(event),
        "bindings": {"kafka": {"key": {"type": "string", "description": key_description}, **BINDING}},
        "examples": [_message_example(event)],
    }


def _message_example(event: type[Event]) -> Object:
    message = encode(example_of(event))
    headers = {name: value.decode() for name, value in message.headers}
    # encode() adds the trace of the request that reads the document.
    headers.pop(traceparent.HEADER, None)
    return {"name": "example", "headers": headers, "payload": msgspec.json.decode(message.value)}


def _headers() -> Schema:
    required = {
        "ce_specversion": {"const": "1.0"},
        "ce_id": {"format": "uuid", "description": _("The id of the event: of repetitions only the first is applied.")},
        "ce_type": {"description": _("The type and its version, which decide how the content is read.")},
        "ce_source": {"const": conf.SOURCE},
        "ce_time": {"format": "date-time", "description": _("The time of the event, in UTC.")},
        "content-type": {"const": "application/json"},
    }
    optional = {
        REPLAY_HEADER: {"description": _("Only in replayed messages: the one consumer that must apply it.")},
        traceparent.HEADER: {"description": _("W3C Trace Context: the request that caused the event, if known.")},
    }
    properties = {name: {"type": "string", **rest} for name, rest in {**required, **optional}.items()}
    return {"type": "object", "properties": properties, "required": list(required)}
