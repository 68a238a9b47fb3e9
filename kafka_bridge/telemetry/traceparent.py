"""W3C Trace Context: which request caused this, carried by the header `traceparent` from HTTP through Kafka to tasks.

`00-<trace id, 32 hex digits>-<span id, 16>-<flags, 2>` (https://www.w3.org/TR/trace-context/). Only the trace id says
what belongs together; each hop writes a span id of its own.
"""

import re
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

HEADER: Final = "traceparent"
_FORM: Final = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?", re.ASCII
)

NAMED: Final = 20  # how many of the traces that met in a batch its lines name
_current: ContextVar[str] = ContextVar("trace_id", default="")
_joined: ContextVar[tuple[str, ...]] = ContextVar("joined_traces", default=())
_of_key: ContextVar[Callable[[str], str] | None] = ContextVar("trace_of_a_key", default=None)


def current_id() -> str:
    """The trace id of what this thread is doing; empty where nothing caused it."""
    return _current.get()


def joined() -> tuple[str, ...]:
    """The first of the traces that met in what this thread does; empty where it is but one."""
    return _joined.get()


def current(cause: str = "") -> str:
    """The header to send on, with a span id of this hop's own; empty outside of a trace.

    `cause`: the key of the event that this follows from, which says whose trace goes on where several met in a batch.
    """
    of_key = _of_key.get()
    trace_id = (of_key(cause) if of_key and cause else "") or _current.get()
    return f"00-{trace_id}-{secrets.token_hex(8)}-01" if trace_id else ""


def trace_id_of(header: str | bytes | None) -> str:
    """The trace id in a header that anyone may have written; empty where it is missing or malformed."""
    text = header.decode("ascii", errors="replace") if isinstance(header, bytes) else header or ""
    found = _FORM.fullmatch(text) if len(text) < 200 else None
    return found[1] if found else ""


@contextmanager
def continued(trace_id: str) -> Iterator[str]:
    """Goes on with a trace in this block, or begins one where `trace_id` is empty; gives its id."""
    token = _current.set(trace_id or secrets.token_hex(16))
    try:
        yield _current.get()
    finally:
        _current.reset(token)


@contextmanager
def met(traces: Iterable[str], of_key: Callable[[str], str] | None = None) -> Iterator[None]:
    """In this block several traces go on: lines name them, and what follows from an event of a key has that key's trace."""
    tokens = _joined.set(tuple(dict.fromkeys(traces))[:NAMED]), _of_key.set(of_key)
    try:
        yield
    finally:
        _joined.reset(tokens[0])
        _of_key.reset(tokens[1])
