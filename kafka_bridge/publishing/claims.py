"""Claims: what a client sent under an id of its own, so that other content under it is noticed.

A retry with the same id is the same event, and consumers apply an event once. Without claims, a
second event with the same id and other content would be accepted and then dropped.

    claim = claims.claim({event_id: {"title": "Rayuela"}}, at=now)[event_id]
    if claim.first != claim.sent: ...         # refuse, and name the fields that differ
    publish(OrderPlaced(id=event_id, time=claim.at, ...))  # an event equal to the first one

A claim is committed before the event is published. When publishing fails the claim stays, because
the event may be in Kafka nevertheless: the same content can be sent again, other content needs
another id.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec
from django.db import DatabaseError, InterfaceError, connection, models, transaction
from django.utils import timezone

from kafka_bridge import first_query
from kafka_bridge.diagnosis import is_outage
from kafka_bridge.exceptions import Unavailable
from kafka_bridge.models import Claim

KEPT: Final = timedelta(days=90)  # longer than a client may wait before it tries again
SWEEP_SECONDS: Final = 3_600.0
ROWS_PER_SWEEP: Final = 10_000
# The claims of a prepared statement are fewer: a plan that was made while the ledger was tiny reads
# all of it for each claim, until PostgreSQL notices that it has grown.
FEW: Final = 20

Content = Mapping[str, Any]  # what the client sent, by field: JSON values


@dataclass(frozen=True, slots=True)
class Claimed:
    """What is stored for an id: the content that came first, and when.

    `row` has the wanted columns of the id's row in the ledger, if there is one.
    """

    sent: Content
    first: Content
    at: datetime
    is_new: bool
    row: tuple[Any, ...] | None


class Condition(NamedTuple):
    """What must hold in the database when a claim is stored.

    `sql`: a query that has a row where the condition holds, with placeholders for `parameters`. It
    reads the values that come with the claim as columns of `sent`, which `columns` declares.
    """

    columns: str  # such as "author text, page int"
    sql: str
    parameters: Sequence[Any]
    values: Mapping[UUID, Mapping[str, Any]]  # by event id and column


# DO UPDATE instead of DO NOTHING, because only then does RETURNING contain the earlier row. In the
# order of the ids, so that two requests with the same ids do not deadlock. It may run twice: the
# second run returns what the first one stored.
_CLAIM: Final = """
    WITH claimed AS (
        INSERT INTO kafka_bridge_claim AS kept (event_id, content, created_at)
        SELECT event_id, content, %s::timestamptz
        FROM json_to_recordset(%s::json) AS sent (event_id uuid, content jsonb{values}) {where} ORDER BY event_id
        ON CONFLICT (event_id) DO UPDATE SET event_id = kept.event_id
        RETURNING event_id, content, created_at, xmax = 0 AS is_new
    )
    SELECT claimed.event_id, claimed.content::text, claimed.created_at, claimed.is_new {columns} FROM claimed {join}"""
# OFFSET 0 lets PostgreSQL look each claim up. It expects 100 claims, and would join them to a small
# ledger by reading all of it, which pays for many claims only.
_OF_FEW: Final = """
    LEFT JOIN LATERAL (SELECT {columns} FROM {ledger} WHERE id = claimed.event_id OFFSET 0) ledger ON true"""
_OF_MANY: Final = "LEFT JOIN (SELECT {columns} FROM {ledger}) ledger ON ledger.id = claimed.event_id"
_WHERE: Final = "WHERE EXISTS ({sql} OFFSET 0)"  # looked up for each claim, too
_ALWAYS: Final = Condition("", "", (), {})


def claim(
    contents: Mapping[UUID, Content],
    *,
    at: datetime,
    ledger: type[models.Model] | None = None,
    columns: Sequence[str] = (),
    only_if: Condition | None = None,
) -> dict[UUID, Claimed]:
    """Store what was sent under each event id, unless it is claimed already; one statement.

    `ledger`: the table whose primary key is the event id; `columns`: those to return from it, for
    events that are older than their claims. Where the condition does not hold, nothing is stored,
    and the id is missing in what is returned. Raises Unavailable if the database cannot write.
    """
    if not contents:
        return {}
    is_small = len(contents) < FEW
    condition = only_if or _ALWAYS
    join = _OF_FEW if is_small else _OF_MANY
    sql = _statement(ledger, tuple(columns), join, condition.columns, condition.sql)
    parameters = [at, _sent(contents, condition.values), *condition.parameters]
    try:
        rows = first_query.rows(sql, parameters) if is_small else _rows(sql, parameters)
    except (DatabaseError, InterfaceError) as error:
        if is_outage(error):
            raise Unavailable("The database does not store claims: retry later.") from error
        raise
    return {row[0]: _claimed(contents[row[0]], row) for row in rows}


def _sent(contents: Mapping[UUID, Content], values: Mapping[UUID, Mapping[str, Any]]) -> str:
    """Return claims as one text: psycopg would write an array of Python values value by value."""
    claims = [{"event_id": id_, "content": content, **values.get(id_, {})} for id_, content in contents.items()]
    return msgspec.json.encode(claims).decode()


def _rows(sql: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return list(cursor.fetchall())


@cache
def _statement(
    ledger: type[models.Model] | None, columns: tuple[str, ...], join: str, declared: str, condition: str
) -> str:
    values = f", {declared}" if declared else ""
    where = _WHERE.format(sql=condition) if condition else ""
    if ledger is None:
        return _CLAIM.format(columns="", join="", values=values, where=where)
    names = [connection.ops.quote_name(column) for column in ["id", *columns]]
    return _CLAIM.format(
        columns="".join(f", ledger.{name}" for name in names),
        join=join.format(columns=", ".join(names), ledger=ledger._meta.db_table),
        values=values,
        where=where,
    )


def _claimed(sent: Content, row: Sequence[Any]) -> Claimed:
    _, first, at, is_new, *ledger = row
    return Claimed(sent, msgspec.json.decode(first), at, is_new, tuple(ledger[1:]) if any(ledger) else None)


def earlier(event_ids: Sequence[UUID]) -> dict[UUID, datetime]:
    """Return when each of these ids was claimed; ids without a claim are missing."""
    return dict(Claim.objects.filter(pk__in=event_ids).values_list("event_id", "created_at"))


def delete_old(*, now: datetime) -> int:
    """Delete claims that are older than KEPT, up to ROWS_PER_SWEEP; return how many."""
    with transaction.atomic():
        old = Claim.objects.filter(created_at__lt=now - KEPT).order_by("created_at")
        pks = list(old.select_for_update(skip_locked=True).values_list("pk", flat=True)[:ROWS_PER_SWEEP])
        return Claim.objects.filter(pk__in=pks).delete()[0]


class Sweep:
    """Deletes old claims once per SWEEP_SECONDS; the relay calls `step` when it is idle."""

    def __init__(self) -> None:
        self._due = 0.0  # monotonic seconds

    def step(self) -> None:
        """Delete some old claims if a sweep is due; a sweep that left some is due at once."""
        if time.monotonic() < self._due:
            return
        if delete_old(now=timezone.now()) < ROWS_PER_SWEEP:
            self._due = time.monotonic() + SWEEP_SECONDS
