"""Read a dead letter: its payload as text, its type, its id, and the fields that were corrected."""

from uuid import UUID

import msgspec
from django.utils.translation import gettext, ngettext

from kafka_bridge.consuming.handlers import consumers
from kafka_bridge.events.codec import NOT_JSON
from kafka_bridge.events.event import registered
from kafka_bridge.models import DeadLetter

Bytes = bytes | memoryview | None  # as Django reads a BinaryField


def as_text(value: Bytes) -> str:
    """Return a payload as text for people.

    JSON is indented. In any other payload, invalid UTF-8 and control characters are escaped.
    """
    raw = bytes(value or b"")
    try:
        return msgspec.json.format(raw, indent=2).decode()
    except NOT_JSON:
        text = raw.decode(errors="backslashreplace")
        return "".join(c if c.isprintable() or c in "\n\t" else f"\\u{ord(c):04x}" for c in text)


def what_is_missing(letter: DeadLetter) -> str:
    """Return why the content is not whole, and what to do; empty if it is whole."""
    if letter.value_bytes is not None:
        return gettext(
            "Only the first %(kept)d of %(size)d bytes are kept, so the message cannot be replayed. If it matters, its "
            "sender must send it again, smaller; then discard it here."
        ) % {"kept": len(bytes(letter.value or b"")), "size": letter.value_bytes}
    if letter.last_offset is not None:
        count = letter.last_offset - letter.offset + 1
        return ngettext(
            "The content of %(count)d message could not be unpacked and is not kept, so it cannot be replayed. While "
            "Kafka keeps the topic, another tool may read it at its offset. If it matters, its sender must send it "
            "again; then discard it here.",
            "The content of %(count)d messages could not be unpacked and is not kept, so they cannot be replayed. "
            "While Kafka keeps the topic, another tool may read them at their offsets. If they matter, their sender "
            "must send them again; then discard them here.",
            count,
        ) % {"count": count}
    return ""


def declared_type(letter: DeadLetter) -> str:
    """Return the event type in the message's header, known or not; empty without that header."""
    return dict(letter.headers).get("ce_type") or ""


def handled_types(consumer: str) -> list[str]:
    """Return the event types that a consumer handles, sorted; none for an unknown consumer."""
    return sorted(event.type for event in consumers[consumer].handlers) if consumer in consumers else []


def event_id(letter: DeadLetter) -> UUID | None:
    """Return the id that makes the event's rows unique: the payload's, else the header's."""
    for source in (str(_fields(letter.value).get("id")), dict(letter.headers).get("ce_id")):
        try:
            return UUID(source)
        except (TypeError, ValueError, AttributeError):
            continue
    return None


def changed_fields(letter: DeadLetter, corrected: bytes, event_type: str) -> list[str]:
    """Return the names, never the values, of the event's fields that a correction changes."""
    old, new = _fields(letter.value), _fields(corrected)
    return [name for name in registered[event_type].__struct_fields__ if old.get(name) != new.get(name)]


def _fields(value: Bytes) -> dict[str, object]:
    """Return the fields of a payload; none if the payload is not a JSON object."""
    try:
        decoded = msgspec.json.decode(bytes(value or b""))
    except NOT_JSON:
        return {}
    return decoded if isinstance(decoded, dict) else {}
