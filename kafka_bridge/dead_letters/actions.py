"""Dead letters: shown safely, corrected, replayed to the consumer that failed, or discarded with a reason.

A replay is published through the outbox in the transaction that marks the row, with the event's own id: rows are unique
by it, so what was already applied is not applied again. The admin and `manage.py replay_dead_letters` both come here.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Final

from django.contrib.admin.models import CHANGE, LogEntry
from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Coalesce, Length, Now

from kafka_bridge.consuming.handlers import consumers
from kafka_bridge.consuming.record import REPLAY_HEADER
from kafka_bridge.dead_letters.explain import explain
from kafka_bridge.dead_letters.reading import changed_fields, declared_type, event_id
from kafka_bridge.events.codec import Message, decode, encode
from kafka_bridge.events.event import Event, registered
from kafka_bridge.exceptions import AlreadyResolved, NotReplayable, Undecodable
from kafka_bridge.models import DeadLetter
from kafka_bridge.publishing import outbox

logger = logging.getLogger(__name__)

CHUNK: Final = 500  # rows a transaction: others wait for no longer than that takes
CHUNK_BYTES: Final = 4_000_000  # of payload: bounds memory where messages are large
Progress = Callable[[int, int], None]  # takes how many are done, of how many


@dataclass(frozen=True)
class Actor:
    """Who resolves a dead letter. Without a user (a command) the row's `resolved_by` is the whole audit entry."""

    name: str
    user_id: int | None = None


@dataclass
class Summary:
    """What became of the chosen dead letters. `refused`: how many, by explanation (Spanish, without data)."""

    open: int = 0
    done: int = 0
    resolved_before: int = 0
    refused: Counter[str] = field(default_factory=Counter)

    @property
    def left(self) -> int:
        """Open ones that were not reached before the time was up."""
        return self.open - self.done - self.resolved_before - self.refused.total()


def replay_message(letter: DeadLetter, value: bytes, event_type: str) -> Message:
    """The message that a replay publishes, validated as its consumer will. Raises NotReplayable."""
    event = _event(value, event_type)
    _check_consumer(letter, event)
    original = event_id(letter)
    if original and event.id != original:
        raise NotReplayable("«id»: el id del evento no se cambia, porque de él depende que nada se cuente dos veces.")
    message = encode(event)
    headers = (*message.headers, (REPLAY_HEADER, letter.consumer.encode()))
    return replace(message, value=value, headers=headers)


def _event(value: bytes, event_type: str) -> Event:
    if event_type not in registered:
        raise NotReplayable(f"El tipo de evento «{event_type[:100]}» no está declarado en esta versión del sistema.")
    try:
        return decode({"ce_type": event_type}, value)
    except Undecodable as error:
        raise NotReplayable(explain(str(error))) from None


def _check_consumer(letter: DeadLetter, event: Event) -> None:
    """A replay to a consumer that skips the event would lose it silently."""
    consumer = consumers.get(letter.consumer)
    if consumer is None:
        raise NotReplayable(f"El consumidor «{letter.consumer}» ya no existe.")
    if type(event) not in consumer.handlers:
        raise NotReplayable(f"El consumidor «{letter.consumer}» no procesa eventos del tipo {event.type}.")


def replay(pk: int, *, by: Actor, value: bytes | None = None, event_type: str = "") -> None:
    """Replays one dead letter, corrected where `value` is given. Two at once: the second gets AlreadyResolved.

    Raises NotReplayable and leaves it open where it does not fit its class, AlreadyResolved, DeadLetter.DoesNotExist.
    """
    with transaction.atomic():
        letter = DeadLetter.objects.select_for_update().get(pk=pk)
        if letter.state != DeadLetter.State.OPEN:
            raise AlreadyResolved(f"{letter.get_state_display()} por {letter.resolved_by}")
        original = bytes(letter.value or b"")
        corrected = value if value is not None and value != original else None
        event_type = event_type or declared_type(letter)
        outbox.add_messages([replay_message(letter, corrected or original, event_type)])
        _resolve([letter], DeadLetter.State.REPLAYED, by, corrected_value=corrected)
        _audit([letter], by, _replayed_note(letter, corrected, event_type))
    logger.info("%s replayed the dead letter %s", by.name, pk)


def replay_all(
    letters: QuerySet[DeadLetter], *, by: Actor, progress: Progress | None = None, seconds: float | None = None
) -> Summary:
    """Replays the open ones as they are, in chunks of one transaction each; those that do not fit stay open.

    Stops after `seconds`, if given; a second call goes on. Those that fail again meanwhile are not taken a second time.
    """

    def apply(rows: list[DeadLetter], summary: Summary) -> None:
        fitting = _fitting(rows, summary)
        outbox.add_messages(fitting.values())
        replayed = [row for row in rows if row.pk in fitting]
        _resolve(replayed, DeadLetter.State.REPLAYED, by)
        _audit(replayed, by, "Reenviado sin cambios.")
        summary.done += len(replayed)

    return _in_chunks(letters, apply, progress, seconds)


def discard_all(letters: QuerySet[DeadLetter], *, by: Actor, reason: str, seconds: float | None = None) -> Summary:
    """Discards the open ones. `reason` is written by staff and kept on the row; the audit entry does not repeat it."""

    def apply(rows: list[DeadLetter], summary: Summary) -> None:
        _resolve(rows, DeadLetter.State.DISCARDED, by, discard_reason=reason)
        _audit(rows, by, "Descartado, con un motivo.")
        summary.done += len(rows)

    return _in_chunks(letters, apply, None, seconds)


def check_all(letters: QuerySet[DeadLetter], *, progress: Progress | None = None) -> Summary:
    """What `replay_all` would do, without doing it."""

    def apply(rows: list[DeadLetter], summary: Summary) -> None:
        summary.done += len(_fitting(rows, summary))

    return _in_chunks(letters, apply, progress, None)


def _fitting(rows: list[DeadLetter], summary: Summary) -> dict[int, Message]:
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
    """Ids, oldest first. The cursor holds what was there at its start: what fails again after a replay is not in it."""
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
    """Those that are still open once whoever else holds them is done; in one order, so that no two wait for each other."""
    rows = DeadLetter.objects.select_for_update().filter(pk__in=pks, state=DeadLetter.State.OPEN)
    return list(rows.order_by("pk").defer("traceback", "error"))


def _resolve(rows: list[DeadLetter], state: DeadLetter.State, by: Actor, **fields: object) -> None:
    chosen = DeadLetter.objects.filter(pk__in=[row.pk for row in rows])
    chosen.update(state=state, resolved_at=Now(), resolved_by=by.name, **fields)


def _audit(rows: list[DeadLetter], by: Actor, note: str) -> None:
    if by.user_id is not None and rows:
        LogEntry.objects.log_actions(by.user_id, rows, CHANGE, note)


def _replayed_note(letter: DeadLetter, corrected: bytes | None, event_type: str) -> str:
    if corrected is None:
        return "Reenviado sin cambios."
    names = ", ".join(changed_fields(letter, corrected, event_type))
    return f"Corregido y reenviado. Campos corregidos: {names or 'ninguno del evento'}."
