"""The enrolment's id: a UUIDv8 that verifies itself, so that no table says which ids were issued.

    custom_a, custom_b   60 bits: 59 of HMAC(the form as normalised, the day in Chile), then 1 for the lane (1 is paid)
    custom_c             62 bits: HMAC of those 60

The same form on the same day is the same id, hence the same event, hence one enrolment. Both HMACs take SECRET_KEY: the
id of a form cannot be guessed from its data, and one that was never issued is told apart without a query. Two
different forms of one day share an id with a probability of 2^-59.
"""

import hmac
from datetime import date
from typing import Final, Literal
from uuid import UUID

import msgspec
from django.conf import settings
from django.utils.crypto import salted_hmac

Via = Literal["paid", "normal"]
CONTENT_BITS: Final = 60
TAG_BITS: Final = 62


def emitir(formulario: dict[str, object], *, dia: date) -> UUID:
    """The id of a normalised form that arrived on `dia` (Chilean calendar). `formulario["paid"]` decides the lane."""
    texto = msgspec.json.encode([sorted(formulario.items()), dia.isoformat()])
    huella = _bits("form", texto, CONTENT_BITS - 1, key=settings.SECRET_KEY)
    contenido = huella << 1 | bool(formulario["paid"])
    return _uuid8(contenido, _tag(contenido, settings.SECRET_KEY))


def via(inscripcion_id: UUID) -> Via | None:
    """The lane of an id that we issued; None for one that we never did."""
    contenido, tag = _parts(inscripcion_id)
    if inscripcion_id.version != 8 or not _issued(contenido, tag):
        return None
    return "paid" if contenido & 1 else "normal"


def _issued(contenido: int, tag: int) -> bool:
    """By today's key, or by one that it replaced (SECRET_KEY_FALLBACKS): links already sent out go on working."""
    keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    return any(hmac.compare_digest(tag.to_bytes(8), _tag(contenido, key).to_bytes(8)) for key in keys)


def _tag(contenido: int, key: str | bytes) -> int:
    return _bits("tag", contenido.to_bytes(8), TAG_BITS, key=key)


def _bits(purpose: str, value: bytes, count: int, *, key: str | bytes) -> int:
    digest = salted_hmac(f"inscripciones.ids.{purpose}", value, secret=key, algorithm="sha256").digest()
    return int.from_bytes(digest) >> (256 - count)


def _uuid8(contenido: int, tag: int) -> UUID:
    """RFC 9562, section 5.8: 48 bits, version, 12 bits, variant, 62 bits."""
    return UUID(int=(contenido >> 12) << 80 | 8 << 76 | (contenido & 0xFFF) << 64 | 0b10 << 62 | tag)


def _parts(uuid: UUID) -> tuple[int, int]:
    return (uuid.int >> 80) << 12 | uuid.int >> 64 & 0xFFF, uuid.int & (1 << TAG_BITS) - 1
