"""Replay, correct or discard dead letters, one by one or by the thousand.

A replay goes only to the consumer that failed. It is added to the outbox in the transaction that
marks the row, under the event's own id: rows are unique by that id, so an event that was already
applied is not applied again. The admin and `manage.py replay_dead_letters` call these functions.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

import msgspec
from django.contrib.admin.models import CHANGE, LogEntry
from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Coalesce, Length, Now
from django.utils.translation import gettext as _

from kafka_bridge.consuming.handlers import consumers
from kafka_bridge.consuming.record import REPLAY_HEADER
from kafka_bridge.dead_letters.explain import explain
from kafka_bridge.dead_letters.reading import changed_fields, declared_type, event_id, what_is_missing
from kafka_bridge.events.codec import Message, decode, encode
from kafka_bridge.events.event import Event, registered
from kafka_bridge.exceptions import AlreadyResolved, MessageTooLarge, NotReplayable, Undecodable
from kafka_bridge.models import DeadLetter
from kafka_bridge.publishing import outbox
from kafka_bridge.publishing.refusals import check_sizes

logger = logging.getLogger(__name__)

CHUNK: Final = 500  # rows per transaction; bounds how long others wait for the locked rows
CHUNK_BYTES: Final = 4_000_000  # of payload per transaction; bounds memory where messages are large
Progress = Callable[[int, int], None]  # called with the number of finished rows and of all rows


@dataclass(frozen=True)
class Actor:
    """The person who resolves a dead letter.

    With `user_id`, each resolved row gets an audit entry in the admin. Without one (a script),
    `resolved_by` on the row is the only trace.
    """

    name: str
    user_id: int | None = None


@dataclass
class Summary:
    """Outcome of an action on many dead letters, in numbers of rows."""

    open: int = 0
    done: int = 0
    resolved_before: int = 0  # by another person, after they were counted and before they were locked
    refused: Counter[str] = field(default_factory=Counter)  # by explanation, which quotes no data

    @property
    def left(self) -> int:
        """Number of open rows that were not reached before the time was up."""
        return self.open - self.done - self.resolved_before - self.refused.total()


def replay(pk: int, *, by: Actor, value: bytes | None = None, event_type: str = "") -> None:
    """Replay one dead letter, with `value` as its corrected payload if given.

    `event_type` is for a message that names no declared type. Of two calls at once, one replays and
    the other raises AlreadyResolved. Raises NotReplayable, and leaves the row open, if the payload
    does not fit the event's class or the consumer would skip it. Raises DeadLetter.DoesNotExist for
    an unknown id.
    """
    with transaction.atomic():
        letter = DeadLetter.objects.select_for_update().get(pk=pk)
        if letter.state != DeadLetter.State.OPEN:
            resolution = {"state": letter.get_state_display(), "who": letter.resolved_by}
            raise AlreadyResolved(_("%(state)s by %(who)s") % resolution)
        original = bytes(letter.value or b"")
        corrected = value if value is not None and value != original else None
        event_type = event_type or declared_type(letter)
        outbox.add_messages([replay_message(letter, corrected or original, event_type)])
        _resolve([letter], DeadLetter.State.REPLAYED, by, corrected_value=corrected)
        _audit([letter], by, _replayed_note(letter, corrected, event_type))
    logger.info("%s replayed the dead letter %s", by.name, pk)


def replay_message(letter: DeadLetter, value: bytes, event_type: str) -> Message:
    """Return the message that a replay publishes, validated as the consumer will validate it.

    Raises NotReplayable.
    """
    if missing := what_is_missing(letter):
        raise NotReplayable(missing)
    event = _decode(value, event_type)
    _check_consumer(letter, event)
    original = event_id(letter)
    if original and event.id != original:
        raise NotReplayable(_('"id": the id of the event must not change, because it prevents double counting.'))
    message = encode(event)
    headers = (*message.headers, (REPLAY_HEADER, letter.consumer.encode()))
    replayed = msgspec.structs.replace(message, value=value, headers=headers)
    try:
        check_sizes([replayed])
    except MessageTooLarge as error:
        raise NotReplayable(str(error)) from None
    return replayed


def _decode(value: bytes, event_type: str) -> Event:
    if event_type not in registered:
        unknown = _('The event type "%(type)s" is not declared in this version of the system.')
        raise NotReplayable(unknown % {"type": event_type[:100]})
    try:
        return decode({"ce_type": event_type}, value)
    except Undecodable as error:
        raise NotReplayable(explain(str(error))) from None


def _check_consumer(letter: DeadLetter, event: Event) -> None:
    """Raise NotReplayable if the consumer would skip the event: a replay would lose it silently."""
    consumer = consumers.get(letter.consumer)
    if consumer is None:
        raise NotReplayable(_('The consumer "%(consumer)s" no longer exists.') % {"consumer": letter.consumer})
    if type(event) not in consumer.handlers:
        skipped = _('The consumer "%(consumer)s" does not handle events of the type %(type)s.')
        raise NotReplayable(skipped % {"consumer": letter.consumer, "type": event.type})


def _replayed_note(letter: DeadLetter, corrected: bytes | None, event_type: str) -> str:
    """Return the audit note: the names of the corrected fields, never their values."""
    if corrected is None:
        return _("Replayed without changes.")
    names = ", ".join(changed_fields(letter, corrected, event_type)) or _("none of the event")
    return _("Corrected and replayed. Corrected fields: %(names)s.") % {"names": names}


def replay_all(
    letters: QuerySet[DeadLetter], *, by: Actor, progress: Progress | None = None, seconds: float | None = None
) -> Summary:
    """Replay the open dead letters among these, unchanged, in chunks of one transaction each.

    Rows that do not fit their event's class stay open and are counted in `refused`. The function
    stops after `seconds`, if given; another call continues. Messages that fail again while it runs
    are new rows, and are not replayed a second time.
    """

    def replay_rows(rows: list[DeadLetter], summary: Summary) -> None:
        messages = _messages_of(rows, summary)
        outbox.add_messages(messages.values())
        replayed = [row for row in rows if row.pk in messages]
        _resolve(replayed, DeadLetter.State.REPLAYED, by)
        _audit(replayed, by, _("Replayed without changes."))
        summary.done += len(replayed)

    return _in_chunks(letters, replay_rows, progress, seconds)


def discard_all(letters: QuerySet[DeadLetter], *, by: Actor, reason: str, seconds: float | None = None) -> Summary:
    """Discard the open dead letters among these, in chunks of one transaction each.

    `reason` is free text that staff wrote. It is stored in the row, and not in the audit entry. The
    function stops after `seconds`, if given; another call continues.
    """

    def discard_rows(rows: list[DeadLetter], summary: Summary) -> None:
        _resolve(rows, DeadLetter.State.DISCARDED, by, discard_reason=reason)
        _audit(rows, by, _("Discarded, with a reason."))
        summary.done += len(rows)

    return _in_chunks(letters, discard_rows, None, seconds)


def check_all(letters: QuerySet[DeadLetter], *, progress: Progress | None = None) -> Summary:
    """Return what `replay_all` would do, without doing it."""

    def check_rows(rows: list[DeadLetter], summary: Summary) -> None:
        summary.done += len(_messages_of(rows, summary))

    return _in_chunks(letters, check_rows, progress, None)


def _messages_of(rows: list[DeadLetter], summary: Summary) -> dict[int, Message]:
    """Return the message of each row that fits its event's class; count the others in `refused`."""
    messages = {}
    for row in rows:
        try:
            messages[row.pk] = replay_message(row, bytes(row.value or b""), declared_type(row))
        except NotReplayable as error:
            summary.refused[str(error)] += 1
    return messages


def _in_chunks(
    letters: QuerySet[DeadLetter],
    apply: Callable[[list[DeadLetter], Summary], None],
    progress: Progress | None,
    seconds: float | None,
) -> Summary:
    """Call `apply` with the locked rows of each chunk, in one transaction per chunk."""
    deadline = time.monotonic() + seconds if seconds is not None else float("inf")
    chosen = letters.filter(state=DeadLetter.State.OPEN)
    summary = Summary(open=chosen.count())
    for chunk in _chunks(chosen):
        with transaction.atomic():
            rows = _lock(chunk)
            summary.resolved_before += len(chunk) - len(rows)
            apply(rows, summary)
        if progress:
            progress(summary.open - summary.left, summary.open)
        if time.monotonic() > deadline:
            break
    return summary


def _chunks(letters: QuerySet[DeadLetter]) -> Iterator[list[int]]:
    """Yield ids in chunks, oldest first, each of at most CHUNK rows and CHUNK_BYTES of payload.

    A payload larger than CHUNK_BYTES is a chunk of its own. The database cursor sees only the rows
    of its start, so a message that fails again after its replay is not included.
    """
    chunk: list[int] = []
    size = 0
    for pk, length in letters.order_by("pk").values_list("pk", Coalesce(Length("value"), 0)).iterator():
        if chunk and (len(chunk) == CHUNK or size + length > CHUNK_BYTES):
            yield chunk
            chunk, size = [], 0
        chunk.append(pk)
        size += length
    if chunk:
        yield chunk


def _lock(pks: list[int]) -> list[DeadLetter]:
    """Lock the rows, waiting for others who hold them, and return those that are then still open.

    Rows are locked in the order of their ids, so that two calls cannot deadlock.
    """
    rows = DeadLetter.objects.select_for_update().filter(pk__in=pks, state=DeadLetter.State.OPEN)
    return list(rows.order_by("pk").defer("traceback", "error"))


def _resolve(rows: list[DeadLetter], state: DeadLetter.State, by: Actor, **fields: object) -> None:
    chosen = DeadLetter.objects.filter(pk__in=[row.pk for row in rows])
    chosen.update(state=state, resolved_at=Now(), resolved_by=by.name, **fields)


def _audit(rows: list[DeadLetter], by: Actor, note: str) -> None:
    if by.user_id is not None and rows:
        LogEntry.objects.log_actions(by.user_id, rows, CHANGE, note)
