"""Structured logs: one line a request, a batch and a task, JSON in production and readable in a terminal.

`LOG_FORMAT` chooses (settings). What the standard library's loggers say goes the same way. No line holds personal data:
`without_data` cuts what a database quotes of a row, and whatever looks like a RUT, an e-mail address or a token.
"""

import logging
import re
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final, Literal
from uuid import UUID

import psycopg
import structlog
from django.db import DatabaseError
from structlog.typing import EventDict, Processor, WrappedLogger

from kafka_bridge.errors import describe
from kafka_bridge.telemetry import traceparent

Format = Literal["json", "text"]
_PERSONAL: Final = re.compile(
    r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+"  # an e-mail address
    r"|(?<![\w.-])(?:\d{1,2}\.\d{3}\.\d{3}|\d{7,8})-[\dkK](?![\w-])"  # a RUT
    r"|\bmmc_\w+"  # an API token
    r"|(?i:\b(?:bearer|basic) )[\w.~+/=-]+"
    r"|DETAIL:(?s:.*)"  # a row that PostgreSQL quotes
    r"|(?<=://)[^\s/@]+@",  # the user and password of a URL
)

HIDDEN: Final = "[oculto]"


def configure(log_format: Format) -> dict[str, Any]:
    """What Django's LOGGING and gunicorn's logconfig take; also has structlog's loggers go through the standard ones."""
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_shared(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    formatter = {
        "()": structlog.stdlib.ProcessorFormatter,
        "foreign_pre_chain": [*_shared(), structlog.stdlib.ExtraAdder(allow=())],
        "processors": [
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            without_data,
            *_rendered(log_format),
        ],
    }
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": formatter},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
        "filters": {"seldom": {"()": Seldom}},
        "root": {"handlers": ["stderr"], "level": "INFO"},
        "loggers": {
            name: {"handlers": ["stderr"], "level": level, "propagate": False}
            for name, level in {
                "gunicorn.error": "INFO",
                "gunicorn.access": "CRITICAL",
                "django.request": "ERROR",
            }.items()
        }
        | {"kafka_bridge.librdkafka": {"filters": ["seldom"]}}
        | {
            name: {"level": "WARNING"} for name in ("celery.app.trace", "celery.worker.strategy")
        },  # ours is a line a task
    }


class Seldom(logging.Filter):
    """While a broker is away librdkafka tells of each attempt to connect, several a second: one of a kind a minute will do."""

    SECONDS: Final = 60.0

    def __init__(self) -> None:
        super().__init__()
        self._said_at: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        kind = str(record.args[0]) if isinstance(record.args, tuple) and record.args else record.getMessage()[:40]
        now = time.monotonic()
        if now - self._said_at.get(kind, -self.SECONDS) < self.SECONDS:
            return False
        self._said_at[kind] = now
        return True


def _shared() -> list[Processor]:
    return [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        add_trace,
    ]


def _rendered(log_format: Format) -> list[Processor]:
    if log_format == "json":
        return [structlog.processors.JSONRenderer(ensure_ascii=False, default=str)]
    return [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=0)]


def add_trace(_logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
    """The trace that the line belongs to, where there is one, and those that met in it."""
    if trace_id := traceparent.current_id():
        line.setdefault("trace_id", trace_id)
    if traces := traceparent.joined():
        line.setdefault("traces", traces)
    return line


def without_data(_logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
    """Replaces an exception by its kind and the lines of code it came through, and hides personal data in any text."""
    error = _error_of(line.pop("exc_info", None))
    line.pop("stack_info", None)
    if error is not None:
        line["exception"] = _told(error)
    return {key: _PERSONAL.sub(HIDDEN, value) if isinstance(value, str) else value for key, value in line.items()}


def _error_of(exc_info: Any) -> BaseException | None:
    """Loggers are given the error, its triple, or True for the one being handled."""
    if isinstance(exc_info, BaseException):
        return exc_info
    error = (sys.exc_info() if exc_info is True else exc_info or (None, None))[1]
    return error if isinstance(error, BaseException) else None


def _told(error: BaseException) -> str:
    """The chain of errors, each without the values that a database quotes, after the code it passed."""
    parts: list[str] = []
    link: BaseException | None = error
    while link is not None:
        parts.append("".join(traceback.format_tb(link.__traceback__)) + _named(link))
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)
    return "\ncaused by\n".join(parts)


def _named(error: BaseException) -> str:
    if isinstance(error, psycopg.Error):
        return f"{type(error).__name__} {error.sqlstate or ''}".strip()
    return describe(error) if isinstance(error, DatabaseError) else f"{type(error).__name__}: {error}"


def bounded(ids: Sequence[UUID]) -> dict[str, Any]:
    """Event ids for a line, however many there are: how many, the first and the last."""
    ends = {"first": str(ids[0]), "last": str(ids[-1])} if ids else {}
    return {"events": len(ids), **ends}


_noted: ContextVar[list[UUID] | None] = ContextVar("noted_events", default=None)


def note_events(ids: Sequence[UUID]) -> None:
    """Adds to the ids that `collected_events` gathers; nothing where nobody gathers."""
    noted = _noted.get()
    if noted is not None:
        noted.extend(ids)


@contextmanager
def collected_events() -> Iterator[list[UUID]]:
    """Gathers the ids of what is published in this block."""
    noted: list[UUID] = []
    token = _noted.set(noted)
    try:
        yield noted
    finally:
        _noted.reset(token)


def logger(name: str) -> structlog.stdlib.BoundLogger:
    """A logger for lines of fields."""
    bound: structlog.stdlib.BoundLogger = structlog.get_logger(name)
    return bound
