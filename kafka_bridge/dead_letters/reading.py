"""TODO."""

from uuid import UUID

import msgspec

from kafka_bridge.consuming.handlers import consumers
from kafka_bridge.events.codec import NOT_JSON
from kafka_bridge.events.event import registered
from kafka_bridge.models import DeadLetter


def as_text(value: bytes | memoryview | None) -> str:
    """The payload for a person: indented JSON; anything else with unreadable bytes and control characters escaped."""
    raw = bytes(value or b"")
    try:
        return msgspec.json.format(raw, indent=2).decode()
    except NOT_JSON:
        text = raw.decode(errors="backslashreplace")
        return "".join(c if c.isprintable() or c in "\n\t" else f"\\u{ord(c):04x}" for c in text)


def declared_type(letter: DeadLetter) -> str:
    """The type that the message's header names, declared here or not; empty without that header."""
    return dict(letter.headers).get("ce_type") or ""


def event_id(letter: DeadLetter) -> UUID | None:
    """The id that its rows are unique by: the value's, or the header's where the value has none."""
    for source in (_field(letter.value, "id"), dict(letter.headers).get("ce_id")):
        try:
            return UUID(source)
        except (TypeError, ValueError, AttributeError):
            continue
    return None


def changed_fields(letter: DeadLetter, corrected: bytes, event_type: str) -> list[str]:
    """Names (never values) of the event's fields in which a correction differs from the original."""
    old, new = _object(letter.value), _object(corrected)
    return [name for name in registered[event_type].__struct_fields__ if old.get(name) != new.get(name)]


def _field(value: bytes | memoryview | None, name: str) -> str:
    return str(_object(value).get(name, ""))


def _object(value: bytes | memoryview | None) -> dict[str, object]:
    try:
        decoded = msgspec.json.decode(bytes(value or b""))
    except NOT_JSON:
        return {}
    return decoded if isinstance(decoded, dict) else {}


def _types_of(consumer: str) -> list[str]:
    return sorted(event.type for event in consumers[consumer].handlers) if consumer in consumers else []
