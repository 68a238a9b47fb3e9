"""Declare event classes that exist for one test."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, Final
from uuid import uuid4

from kafka_bridge.events import Event, Topic
from kafka_bridge.events.event import registered

TOPIC: Final = Topic(name="mamochi.sandbox")
METACLASS: Final[Any] = type(Event)  # of msgspec.Struct, which has no public name
Declare = Callable[..., type[Event]]


@contextmanager
def declaring() -> Iterator[Declare]:
    """Provide a function that declares an event class; forget its classes at the end.

    Its arguments are the type's name, msgspec's options, and attributes of the class. An attribute
    that is None is left out.
    """
    declared: list[str] = []

    def declare(event_type: str = "", options: dict[str, Any] | None = None, **body: Any) -> type[Event]:
        name = event_type or f"mamochi.sandbox.something-{uuid4()}.v1"
        declared.append(name)
        valid = {
            "topic": TOPIC,
            "key": property(lambda event: str(event.id)),
            "__annotations__": {"type": ClassVar[str]},
        }
        attributes = {name: value for name, value in {**valid, **body}.items() if value is not None}
        event: type[Event] = METACLASS(
            "Something", (Event,), {**attributes, "type": name}, frozen=True, **options or {}
        )
        return event

    yield declare
    for name in declared:
        registered.pop(name, None)


@contextmanager
def redeclaring(module: str) -> Iterator[Callable[..., type[Event]]]:
    """Provide a function that declares one type again and again, with other fields each time."""
    event_type = f"mamochi.sandbox.changed-{uuid4()}.v1"

    def declare(fields: dict[str, Any], defaults: dict[str, Any] | None = None, topic: Topic = TOPIC) -> type[Event]:
        registered.pop(event_type, None)
        annotations = {"type": ClassVar[str], "topic": ClassVar[Topic], **fields}
        body = {"__annotations__": annotations, "__module__": module, "type": event_type, "topic": topic}
        event: type[Event] = METACLASS("Changed", (Event,), {**body, **(defaults or {})}, frozen=True, kw_only=True)
        return event

    yield declare
    registered.pop(event_type, None)
