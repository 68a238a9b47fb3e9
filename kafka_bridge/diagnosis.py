"""What an error of the database or of Kafka means: an outage, a passing one, or a bad message.

The engine's own exceptions are in exceptions.py.
Errors are told apart by SQLSTATE, not by exception class: a transaction timeout and a read-only
server are `InternalError`, a NUL byte is `DataError` (PostgreSQL, appendix A: error codes).
"""

import traceback
from pathlib import Path
from typing import Final

from confluent_kafka import KafkaError, KafkaException
from django.db import DatabaseError, DataError, InterfaceError, ProgrammingError, connection

from kafka_bridge.exceptions import Undecodable

# What a message says cannot cause these: the server lacks something, or something in it is broken.
# For errors of files, errcode_for_file_access in PostgreSQL's elog.c chooses the state.
# 54000 and XX000 are not here, because a message may cause them, too: a row that is too large is
# 54000, as is a server without transaction ids; XX000 is any internal error.
SERVER_STATES: Final = (
    "53",  # insufficient resources: disk (ENOSPC), memory, open files, connections
    "58",  # system error: I/O error (EIO), a file is missing
    "25006",  # the server only reads
    "42501",  # the file system only reads (EROFS), or the role has no right to a table
    "26000",  # a prepared statement is not there, or ...
    "42P05",  # ... is there already: a pool stands between, which PREPARED_STATEMENTS denies
    "XX001",  # a table is damaged
    "XX002",  # an index is damaged
)
# Connection exception; operator intervention (shutdown, crash).
OUTAGE_STATES: Final = ("08", "57P", *SERVER_STATES)
# Rollback (serialization, deadlock); lock not available; transaction timeout; statement cancelled.
TRANSIENT_STATES: Final = ("40", "55P03", "25P04", "57014")

# The words with which psycopg begins, whatever language the server speaks.
REFUSED_CONNECTION: Final = "connection failed: "
# All that libpq says of a certificate that has expired, or whose authority it does not know.
REFUSED_CERTIFICATE: Final = "SSL error: certificate verify failed"

# Kafka answers that a topic or a partition is not there, or that this client has no rights to it.
MISSING: Final = (
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError._UNKNOWN_TOPIC,
    KafkaError._UNKNOWN_PARTITION,
)
NO_RIGHTS: Final = (
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
)


def concerns_topic(error: KafkaError) -> bool:
    """Return True if Kafka refuses one topic or partition, so that the others may be well."""
    return error.code() in (*MISSING, *NO_RIGHTS)


def is_outage(error: BaseException) -> bool:
    """Return True if the database or Kafka seems out of reach.

    Then no message is to blame, unless the servers answer (ADR 9).
    """
    if isinstance(error, KafkaException | InterfaceError):
        return True
    state = sqlstate(error)
    if not state:
        # The connection was lost; or psycopg itself refused a value, and waiting does not help.
        return isinstance(error, DatabaseError) and not isinstance(error, DataError | ProgrammingError)
    return isinstance(error, DatabaseError) and state.startswith(OUTAGE_STATES)


def is_server_trouble(error: BaseException) -> bool:
    """Return True if the database answers and says itself that it is in trouble.

    That never accuses a message, however long it lasts.
    """
    return isinstance(error, DatabaseError) and sqlstate(error).startswith(SERVER_STATES)


def is_transient(error: BaseException) -> bool:
    """Return True if the same transaction may succeed when it is tried again."""
    return isinstance(error, DatabaseError) and sqlstate(error).startswith(TRANSIENT_STATES)


def connection_is_lost() -> bool:
    """Return True if this thread's database connection has ended.

    The cause is an outage, a transaction's timeout, or the query itself.
    """
    return connection.connection is None or bool(connection.connection.closed)


def database_answers() -> bool:
    """Return True if the database answers a query."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except (DatabaseError, InterfaceError):
        return False
    return True


def sqlstate(error: BaseException) -> str:
    """Return PostgreSQL's five characters; empty if the server sent none (connection lost)."""
    return getattr(error.__cause__, "sqlstate", None) or ""


def describe(error: BaseException) -> str:
    """Return the error and where it arose, without its message.

    The message, PostgreSQL's DETAIL and values can hold personal data.
    """
    if isinstance(error, DatabaseError) and error.__cause__:  # Django's own errors have no cause
        diagnostics = getattr(error.__cause__, "diag", None)
        constraint = getattr(diagnostics, "constraint_name", None) or getattr(diagnostics, "column_name", None)
        parts = (type(error).__name__, sqlstate(error), constraint or _refused_connection(error))
        return " ".join(filter(None, parts))
    if isinstance(error, KafkaException | Undecodable):
        return f"{type(error).__name__}: {error}"  # these two quote no data
    frames = traceback.extract_tb(error.__traceback__)
    place = f" in {frames[-1].name}, {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{place}"  # without a place: an error that nothing raised


def _refused_connection(error: DatabaseError) -> str:
    """Return why no connection was made; it names server and user, and no row.

    The address may be wrong, the password, the certificate of the server, or its name.
    """
    said = str(error.__cause__)
    if not said.startswith(REFUSED_CONNECTION):
        return ""
    why = said.splitlines()[0]
    hint = ": the server's certificate has expired, or its authority is not in sslrootcert"
    return why + hint if why.endswith(REFUSED_CERTIFICATE) else why
