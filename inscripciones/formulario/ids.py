"""The enrolment's id: a UUIDv8 that verifies itself, so that no table of issued ids is needed.

    custom_a, custom_b   60 bits: 59 of HMAC(the normalised form, the day in Chile), then 1 for the
                         lane (1 is paid)
    custom_c             62 bits: HMAC of those 60

The same form on the same day has the same id, hence the same event, hence one enrolment. Both
HMACs use SECRET_KEY: the id cannot be computed from the form's data, and an id that was never
issued is recognised without a query. Two different forms of one day share an id with a probability
of 2^-59.
"""

import hmac
from collections.abc import Mapping
from datetime import date
from typing import Final, Literal
from uuid import UUID

import msgspec
from django.conf import settings
from django.utils.crypto import salted_hmac

Via = Literal["paid", "normal"]
CONTENT_BITS: Final = 60
TAG_BITS: Final = 62


def issue(form: Mapping[str, object], *, day: date) -> UUID:
    """Return the id of a normalised form that arrived on `day` (Chilean calendar).

    `form["paid"]` decides the lane.
    """
    text = msgspec.json.encode([sorted(form.items()), day.isoformat()])
    digest = _bits("form", text, CONTENT_BITS - 1, key=settings.SECRET_KEY)
    content = digest << 1 | bool(form["paid"])
    return _uuid8(content, _tag(content, settings.SECRET_KEY))


def lane_of(inscripcion_id: UUID) -> Via | None:
    """Return the lane of an id that was issued here; None for any other id."""
    content, tag = _parts(inscripcion_id)
    if inscripcion_id.version != 8 or not _is_issued(content, tag):
        return None
    return "paid" if content & 1 else "normal"


def _is_issued(content: int, tag: int) -> bool:
    """Return whether SECRET_KEY, or one of SECRET_KEY_FALLBACKS, gives this tag.

    So links that were sent before a change of the key stay valid.
    """
    keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    return any(hmac.compare_digest(tag.to_bytes(8), _tag(content, key).to_bytes(8)) for key in keys)


def _tag(content: int, key: str | bytes) -> int:
    return _bits("tag", content.to_bytes(8), TAG_BITS, key=key)


def _bits(purpose: str, value: bytes, count: int, *, key: str | bytes) -> int:
    digest = salted_hmac(f"inscripciones.ids.{purpose}", value, secret=key, algorithm="sha256").digest()
    return int.from_bytes(digest) >> (256 - count)


def _uuid8(content: int, tag: int) -> UUID:
    """Lay out the bits as RFC 9562, section 5.8: 48 bits, version, 12 bits, variant, 62 bits."""
    return UUID(int=(content >> 12) << 80 | 8 << 76 | (content & 0xFFF) << 64 | 0b10 << 62 | tag)


def _parts(uuid: UUID) -> tuple[int, int]:
    return (uuid.int >> 80) << 12 | uuid.int >> 64 & 0xFFF, uuid.int & (1 << TAG_BITS) - 1
