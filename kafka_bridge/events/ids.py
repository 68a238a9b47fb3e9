"""Ids of events: derived from a cause, and in the order of time where the cause tells the time.

A table that is unique by id grows cheaply while new ids are close to each other: with random ones
every row changes another page of the index (ADR 30).
"""

import secrets
import time
from typing import Final
from uuid import UUID, uuid5

from kafka_bridge import conf

_TIME_BITS: Final = 0xFFFF_FFFF_FFFF << 80  # milliseconds since 1970
_VERSION_BITS: Final = 0xF << 76


def uuid7() -> UUID:
    """Return a new UUIDv7 (RFC 9562): the time, then random bits."""
    milliseconds = time.time_ns() // 1_000_000
    random = secrets.randbits(74)
    return UUID(int=(milliseconds << 80) | (7 << 76) | (random >> 62 << 64) | (2 << 62) | (random & (1 << 62) - 1))


def derived_id(name: str, *cause: object) -> UUID:
    """Return the uuid5 of the name and of the cause: the same cause gives the same id.

    If a UUIDv7 is among the cause, the id is a UUIDv8 that begins with its time.
    """
    whole = uuid5(conf.NAMESPACE, "|".join([name, *map(str, cause)]))
    for part in cause:
        if isinstance(part, UUID) and part.version == 7:
            return UUID(int=(part.int & _TIME_BITS) | (8 << 76) | (whole.int & ~_TIME_BITS & ~_VERSION_BITS))
    return whole
