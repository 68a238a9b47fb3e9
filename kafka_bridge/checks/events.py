"""Checks of the declared events and topics; they need neither database nor brokers."""

import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec
from django.core.checks import CheckMessage, Error

from kafka_bridge import conf
from kafka_bridge.events.event import Event, registered
from kafka_bridge.events.topics import Topic

TYPE_PATTERN: Final = re.compile(re.escape(conf.PREFIX) + r"\.[a-z][a-z0-9-]*\.[a-z][a-z0-9-]*\.v[1-9][0-9]*")


def check_events(**_options: Any) -> list[CheckMessage]:
    """Check all registered events; `manage.py check` runs this."""
    return [*events_declared_well(registered.values()), *topics_agree(registered.values()), *partitions_are_of_topics()]


def events_declared_well(events: Iterable[type[Event]]) -> Iterator[CheckMessage]:
    """Check the declaration of each event."""
    for event in events:
        for number, (fault, hint) in enumerate(_rules(event), start=1):
            if fault:
                yield Error(f"{event.__qualname__} {fault}", hint=hint, obj=event, id=f"kafka_bridge.E00{number}")


def _rules(event: type[Event]) -> Iterator[tuple[str, str]]:
    """Yield each rule's fault (empty if there is none) and hint, in the order of their numbers."""
    has_topic = isinstance(getattr(event, "topic", None), Topic)
    yield "" if has_topic else "has no topic.", "Give it `topic: ClassVar[Topic] = ...`, one of its app's."
    well_named = TYPE_PATTERN.fullmatch(event.type)
    yield (
        "" if well_named else f"has the type {event.type!r}, which breaks the naming rule.",
        f"Name it {conf.PREFIX}.<area>.<what-happened>.v<N>, in lower case with hyphens.",
    )
    yield (
        "has no key." if event.key is Event.key else "",
        "Define the property `key`: the id of the thing whose events must stay in order.",
    )
    yield (
        "refuses unknown fields." if event.__struct_config__.forbid_unknown_fields else "",
        "Remove forbid_unknown_fields: a producer one release ahead may add a field.",
    )
    yield _schema_fault(event), "Use field types that msgspec can describe as JSON Schema."


def _schema_fault(event: type[Event]) -> str:
    try:
        msgspec.json.schema(event)
    except TypeError as error:
        return f"has no JSON Schema: {error}."
    return ""


def topics_agree(events: Iterable[type[Event]]) -> Iterator[CheckMessage]:
    """Check that a topic is not declared twice with differences: only one could be created."""
    first: dict[str, tuple[Topic, type[Event]]] = {}
    for event in events:
        topic = getattr(event, "topic", None)
        if isinstance(topic, Topic):
            other, owner = first.setdefault(topic.name, (topic, event))
            if other != topic:
                yield Error(
                    f"{event.__qualname__} declares the topic {topic.name} differently than {owner.__qualname__}.",
                    hint="Declare the Topic once, and let both events name it.",
                    obj=event,
                    id="kafka_bridge.E006",
                )


def partitions_are_of_topics() -> Iterator[CheckMessage]:
    """Check that KAFKA_BRIDGE["PARTITIONS"] names declared topics: others have no effect."""
    declared = {event.topic.name for event in registered.values() if isinstance(getattr(event, "topic", None), Topic)}
    for name in sorted(conf.PARTITIONS.keys() - declared):
        yield Error(
            f'KAFKA_BRIDGE["PARTITIONS"] names {name}, and no event declares that topic.',
            hint=f"Correct the name. Declared: {', '.join(sorted(declared))}.",
            id="kafka_bridge.E007",
        )
