"""What an error means for a batch: the database seems out of reach, a retry can help, or the batch holds a culprit.

By SQLSTATE, not by exception class: a transaction timeout and a read-only server are `InternalError`, a NUL byte is
`DataError` (PostgreSQL, appendix A: error codes).
"""

import traceback
from pathlib import Path
from typing import Final

from confluent_kafka import KafkaException
from django.db import DatabaseError, DataError, InterfaceError, ProgrammingError, connection

from kafka_bridge.exceptions import Undecodable

# Connection exception; insufficient resources; operator intervention (shutdown, crash); system error; read-only server.
OUTAGE_STATES: Final = ("08", "53", "57P", "58", "25006")
# Rollback (serialization, deadlock); lock not available; transaction timeout; statement cancelled.
TRANSIENT_STATES: Final = ("40", "55P03", "25P04", "57014")


def is_outage(error: BaseException) -> bool:
    """The database or Kafka seems out of reach: no message is to blame, unless the servers answer (ADR 9)."""
    if isinstance(error, KafkaException | InterfaceError):
        return True
    state = sqlstate(error)
    if not state:  # the connection was lost; or psycopg itself refused a value, which no waiting makes better
        return isinstance(error, DatabaseError) and not isinstance(error, DataError | ProgrammingError)
    return isinstance(error, DatabaseError) and state.startswith(OUTAGE_STATES)


def is_transient(error: BaseException) -> bool:
    """The same transaction may well pass if it is tried again."""
    return isinstance(error, DatabaseError) and sqlstate(error).startswith(TRANSIENT_STATES)


def connection_is_lost() -> bool:
    """Whether this thread's connection has ended: in an outage, at a transaction's timeout, or by the query's own doing."""
    return connection.connection is None or bool(connection.connection.closed)


def sqlstate(error: BaseException) -> str:
    """PostgreSQL's five characters, empty where the server sent none: the connection was lost."""
    return getattr(error.__cause__, "sqlstate", None) or ""


def describe(error: BaseException) -> str:
    """The error and where it arose, without its message: that, PostgreSQL's DETAIL and values can carry a RUT."""
    if isinstance(error, DatabaseError) and error.__cause__:  # without one it is Django's own
        diagnostics = getattr(error.__cause__, "diag", None)
        constraint = getattr(diagnostics, "constraint_name", None) or getattr(diagnostics, "column_name", None)
        return f"{type(error).__name__} {sqlstate(error)} {constraint or ''}".strip()
    if isinstance(error, KafkaException | Undecodable):
        return f"{type(error).__name__}: {error}"  # neither quotes data
    frames = traceback.extract_tb(error.__traceback__)
    return f"{type(error).__name__} in {frames[-1].name}, {Path(frames[-1].filename).name}:{frames[-1].lineno}"
