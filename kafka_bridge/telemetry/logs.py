"""Structured logs: one line per request, batch and task; JSON in production, text in a terminal.

Lines of the standard library's loggers have the same form. No line holds personal data: the values
of a row that a database quotes are removed, and text that matches a pattern of personal data is
replaced. The engine has generic patterns; the product passes its own ones to `configure`.

Settings modules call `configure`, so importing this module must load neither `conf` nor models nor
the Kafka client.
"""

import logging
import re
import sys
import time
import traceback
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final, Literal
from uuid import UUID

import psycopg
import structlog
from django.db import DatabaseError
from structlog.typing import EventDict, Processor, WrappedLogger

from kafka_bridge.telemetry import traceparent

Format = Literal["json", "text"]
HIDDEN: Final = "[hidden]"

_EMAIL_ADDRESS: Final = r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+"
_LOGIN_OF_URL: Final = r"(?<=://)[^\s/@]+@"  # user and password
_GENERIC_PERSONAL_DATA: Final = (
    r"(?i:\b(?:bearer|basic) )[\w.~+/=-]+",
    r"DETAIL:(?s:.*)",  # the values of a row that PostgreSQL quotes
)

_NEEDS_QUOTES: Final = re.compile(r"""[\s='"]""")

_LEVELS: Final = {
    "gunicorn.error": "INFO",
    "gunicorn.access": "CRITICAL",  # `log_requests` writes a line per request
    "django.request": "ERROR",
}


def configure(log_format: Format, *, personal_data: Iterable[str] = ()) -> dict[str, Any]:
    """Return the configuration for Django's LOGGING and gunicorn's logconfig.

    `personal_data` are regular expressions of what must not appear in a line, besides the engine's
    own. Also makes structlog's loggers write through the standard library's.
    """
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_shared_processors(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    # File, line, thread and process of a record are in no line, and take long to find.
    logging._srcfile = None
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    formatter = {
        "()": LineFormatter,
        "foreign_pre_chain": [*_shared_processors(), structlog.stdlib.ExtraAdder(allow=())],
        "processors": [
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            PersonalDataRemover(personal_data),
            *_renderers(log_format),
        ],
    }
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": formatter},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
        "filters": {"rate_limit": {"()": RateLimitFilter}},
        "root": {"handlers": ["stderr"], "level": "INFO"},
        "loggers": {
            **{name: {"handlers": ["stderr"], "level": level, "propagate": False} for name, level in _LEVELS.items()},
            "kafka_bridge.librdkafka": {"filters": ["rate_limit"]},
            # A product's own signal handlers write one line per task.
            "celery.app.trace": {"level": "WARNING"},
            "celery.worker.strategy": {"level": "WARNING"},
        },
    }


class LineFormatter(structlog.stdlib.ProcessorFormatter):
    """structlog's formatter, without the copies that it makes of a line of our own loggers.

    Such a line is complete when it comes here. It is only cleaned and written.
    """

    def format(self, record: logging.LogRecord) -> str:
        if not isinstance(record.msg, dict) or not hasattr(record, "_logger"):
            return super().format(record)
        line: Any = record.msg.copy()
        added: Any = record  # structlog adds `_logger` and `_name`
        for processor in self.processors[1:]:  # the first one removes what the copies have more
            line = processor(added._logger, added._name, line)
        return str(line)


class RateLimitFilter(logging.Filter):
    """Let one line of each kind pass per minute.

    While a broker is down, librdkafka logs every attempt to connect, several per second.
    """

    SECONDS: Final = 60.0

    def __init__(self) -> None:
        super().__init__()
        self._passed_at: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        kind = str(record.args[0]) if isinstance(record.args, tuple) and record.args else record.getMessage()[:40]
        now = time.monotonic()
        if now - self._passed_at.get(kind, -self.SECONDS) < self.SECONDS:
            return False
        self._passed_at[kind] = now
        return True


def _shared_processors() -> list[Processor]:
    return [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        add_trace,
    ]


def _renderers(log_format: Format) -> list[Processor]:
    if log_format == "json":
        return [structlog.processors.JSONRenderer(ensure_ascii=False, default=str)]
    return [structlog.dev.ConsoleRenderer(colors=True, pad_event_to=0) if sys.stderr.isatty() else text_line]


def text_line(_logger: WrappedLogger, _method: str, line: EventDict) -> str:
    """Return a line as structlog's ConsoleRenderer writes it without colours, in less time."""
    exception = line.pop("exception", None)
    first = f"{line.pop('timestamp')} [{line.pop('level'):<9}] {line.pop('event')} [{line.pop('logger')}]"
    fields = [f"{key}={_readable(value)}" for key, value in sorted(line.items())]
    return " ".join([first, *fields]) + (f"\n{exception}" if exception else "")


def _readable(value: Any) -> str:
    """Return the value; with quotes, where one could not see where it ends."""
    return value if isinstance(value, str) and not _NEEDS_QUOTES.search(value) else repr(value)


def add_trace(_logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
    """Add the id of the current trace, and in a batch of several traces, all of them."""
    if trace_id := traceparent.current_id():
        line.setdefault("trace_id", trace_id)
    if traces := traceparent.joined():
        line.setdefault("traces", traces)
    return line


class PersonalDataRemover:
    """A structlog processor that removes personal data from a line.

    It replaces an exception by its type and the lines of code it passed, and hides matching text.
    """

    def __init__(self, patterns: Iterable[str]) -> None:
        # The search for an address takes most of the time, so only text with an @ is searched.
        self._with_at = re.compile("|".join([_EMAIL_ADDRESS, *_GENERIC_PERSONAL_DATA, _LOGIN_OF_URL, *patterns]))
        self._without_at = re.compile("|".join([*_GENERIC_PERSONAL_DATA, *patterns]))

    def __call__(self, _logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
        error = _error_of(line.pop("exc_info", None))
        line.pop("stack_info", None)
        if error is not None:
            line["exception"] = _described_chain(error)
        return {key: self._without_data(value) for key, value in line.items()}

    def _without_data(self, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        return (self._with_at if "@" in value else self._without_at).sub(HIDDEN, value)


def _error_of(exc_info: Any) -> BaseException | None:
    """Return the error of `exc_info`: the error itself, its triple, or True for the current one."""
    if isinstance(exc_info, BaseException):
        return exc_info
    error = (sys.exc_info() if exc_info is True else exc_info or (None, None))[1]
    return error if isinstance(error, BaseException) else None


def _described_chain(error: BaseException) -> str:
    """Describe the error and its causes, each after the lines of code it passed."""
    parts: list[str] = []
    link: BaseException | None = error
    while link is not None:
        parts.append("".join(traceback.format_tb(link.__traceback__)) + _described(link))
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)
    return "\ncaused by\n".join(parts)


def _described(error: BaseException) -> str:
    """Describe one error without the values that a database quotes."""
    if isinstance(error, psycopg.Error):
        return f"{type(error).__name__} {error.sqlstate or ''}".strip()
    if isinstance(error, DatabaseError):
        from kafka_bridge.diagnosis import describe  # loads the Kafka client

        return describe(error)
    return f"{type(error).__name__}: {error}"


def ids_summary(ids: Sequence[UUID]) -> dict[str, Any]:
    """Return fields for a line about events: how many there are, the first id and the last one."""
    ends = {"first": str(ids[0]), "last": str(ids[-1])} if ids else {}
    return {"events": len(ids), **ends}


_published: ContextVar[list[UUID] | None] = ContextVar("published_events", default=None)


def note_events(ids: Sequence[UUID]) -> None:
    """Add ids of published events to those that `collected_events` collects, if it is in use."""
    published = _published.get()
    if published is not None:
        published.extend(ids)


@contextmanager
def collected_events() -> Iterator[list[UUID]]:
    """Collect the ids of the events that are published in this block."""
    published: list[UUID] = []
    token = _published.set(published)
    try:
        yield published
    finally:
        _published.reset(token)


def logger(name: str) -> structlog.stdlib.BoundLogger:
    """Return a logger for lines with fields: `logger.info("batch", messages=12)`."""
    bound: structlog.stdlib.BoundLogger = structlog.get_logger(name)
    return bound
