"""Ids of events: derived from a cause, and in the order of time where the cause tells the time.

A table that is unique by id grows cheaply while new ids are close to each other: with random ones
every row changes another page of the index (ADR 30).

One request may make thousands of ids, so they are made of whole numbers, and their text is
msgspec's: with the functions of `uuid` each takes two to four times as long.
"""

import random
import time
from hashlib import sha1
from typing import Final
from uuid import UUID

import msgspec

from kafka_bridge import conf

_NAMESPACE: Final = conf.NAMESPACE.bytes
# The bits of a UUID (RFC 9562): the milliseconds since 1970, and what no field of a UUIDv7 takes.
_TIME_BITS: Final = 0xFFFF_FFFF_FFFF << 80
_OTHER_BITS: Final = 0xFFF << 64 | (1 << 62) - 1
_VERSION_BITS: Final = 0xF << 76 | 3 << 62  # with the variant
_VERSION_7: Final = 7 << 76 | 2 << 62
_VERSION_8: Final = 8 << 76 | 2 << 62


def uuid7() -> UUID:
    """Return a new UUIDv7 (RFC 9562): the time, then random bits.

    It is unique but no secret: some of them tell others. The system is not asked for random bytes,
    because another thread would take the interpreter meanwhile.
    """
    milliseconds = time.time_ns() // 1_000_000
    return _uuid((milliseconds << 80) | _VERSION_7 | (random.getrandbits(76) & _OTHER_BITS))


def derived_id(name: str, *cause: object) -> UUID:
    """Return the uuid5 of the name and of the cause: the same cause gives the same id.

    If a UUIDv7 is among the cause, the id is a UUIDv8 that begins with its time.
    """
    whole_text = "|".join([name, *map(text, cause)])
    whole = int.from_bytes(sha1(_NAMESPACE + whole_text.encode(), usedforsecurity=False).digest()[:16])
    for part in cause:
        if isinstance(part, UUID) and part.int & _VERSION_BITS == _VERSION_7:
            return _uuid((part.int & _TIME_BITS) | _VERSION_8 | (whole & _OTHER_BITS))
    return UUID(int=whole, version=5)


def _uuid(number: int) -> UUID:
    """Return the same as `UUID(int=number)`, sooner."""
    return msgspec.convert(number.to_bytes(16), UUID)


def text(part: object) -> str:
    """Return the same as `str`, sooner for a UUID."""
    return msgspec.to_builtins(part) if isinstance(part, UUID) else str(part)
