"""W3C Trace Context: the header `traceparent` links a request to its events and tasks.

The header has the form `00-<trace id, 32 hex digits>-<span id, 16>-<flags, 2>`
(https://www.w3.org/TR/trace-context/). It travels from HTTP through Kafka to tasks. Everything
that one request causes has the same trace id; each hop writes a span id of its own.

This module must not import `conf`: settings modules load it through `logs`.
"""

import random
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

HEADER: Final = "traceparent"
_FORM: Final = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?", re.ASCII
)
_MAX_LENGTH: Final = 200  # characters of a header; a longer one is malformed

NAMED: Final = 20  # log lines of a batch name at most so many of its traces
_current: ContextVar[str] = ContextVar("trace_id", default="")
_joined: ContextVar[tuple[str, ...]] = ContextVar("joined_traces", default=())
_of_key: ContextVar[Callable[[str], str] | None] = ContextVar("trace_of_a_key", default=None)


def _hex(bits: int) -> str:
    """Return a new id, which is not 0.

    It need not be secret. Asking the system for random bytes would hand over the interpreter.
    """
    return f"{random.getrandbits(bits) or 1:0{bits // 4}x}"


def current_id() -> str:
    """Return the trace id of this thread's work, or an empty string outside of a trace."""
    return _current.get()


def joined() -> tuple[str, ...]:
    """Return the traces of the batch that this thread handles, at most NAMED of them.

    Empty if the work belongs to one trace only.
    """
    return _joined.get()


def current(cause: str = "") -> str:
    """Return the header to send on, with a new span id; empty outside of a trace.

    `cause` is the key of the event that led to the new one. In a batch of several traces it
    selects the trace that the new event inherits.
    """
    of_key = _of_key.get()
    trace_id = (of_key(cause) if of_key and cause else "") or _current.get()
    return f"00-{trace_id}-{_hex(64)}-01" if trace_id else ""


def trace_id_of(header: str | bytes | None) -> str:
    """Return the trace id of a header, which is untrusted input; empty if missing or malformed."""
    text = header.decode("ascii", errors="replace") if isinstance(header, bytes) else header or ""
    found = _FORM.fullmatch(text) if len(text) < _MAX_LENGTH else None
    return found[1] if found else ""


@contextmanager
def continued(trace_id: str) -> Iterator[str]:
    """Continue a trace in this block, or start one if `trace_id` is empty; yield its id."""
    token = _current.set(trace_id or _hex(128))
    try:
        yield _current.get()
    finally:
        _current.reset(token)


@contextmanager
def joining(traces: Iterable[str], of_key: Callable[[str], str] | None = None) -> Iterator[None]:
    """Handle, in this block, a batch whose messages belong to several traces.

    Log lines list those traces. An event published in the block inherits the trace of the message
    with the same key (`of_key`).
    """
    tokens = _joined.set(tuple(dict.fromkeys(traces))[:NAMED]), _of_key.set(of_key)
    try:
        yield
    finally:
        _joined.reset(tokens[0])
        _of_key.reset(tokens[1])
