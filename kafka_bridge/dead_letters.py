"""Dead letters: shown safely, corrected, replayed to the consumer that failed, or discarded with a reason.

A replay is published through the outbox in the transaction that marks the row, with the event's own id: rows are unique
by it, so what was already applied is not applied again. The admin and `manage.py replay_dead_letters` both come here.
"""

import logging
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Final
from uuid import UUID

import msgspec
from django.contrib.admin.models import CHANGE, LogEntry
from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Coalesce, Length, Now

from kafka_bridge import outbox
from kafka_bridge.batch import REPLAY_HEADER
from kafka_bridge.events import NOT_JSON, Event, Message, Undecodable, decode, encode, registered
from kafka_bridge.handlers import consumers
from kafka_bridge.models import DeadLetter

logger = logging.getLogger(__name__)

CHUNK: Final = 500  # rows a transaction: others wait for no longer than that takes
CHUNK_BYTES: Final = 4_000_000  # of payload: bounds memory where messages are large
Progress = Callable[[int, int], None]  # takes how many are done, of how many


class NotReplayable(ValueError):
    """The payload or its consumer does not fit. The text, in Spanish, names the field and quotes no data: correct it."""


class AlreadyResolved(Exception):
    """Someone has replayed or discarded it before: nothing was done again."""


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


# Reading


def as_text(value: bytes | memoryview | None) -> str:
    """The payload for a person: indented JSON; anything else with unreadable bytes and control characters escaped."""
    raw = bytes(value or b"")
    try:
        return msgspec.json.format(raw, indent=2).decode()
    except NOT_JSON:
        text = raw.decode(errors="backslashreplace")
        return "".join(c if c.isprintable() or c in "\n\t" else f"\\u{ord(c):04x}" for c in text)


def declared_type(letter: DeadLetter) -> str:
    """The type that the message's header names, declared here or not; empty without that header."""
    return dict(letter.headers).get("ce_type") or ""


def event_id(letter: DeadLetter) -> UUID | None:
    """The id that its rows are unique by: the value's, or the header's where the value has none."""
    for source in (_field(letter.value, "id"), dict(letter.headers).get("ce_id")):
        try:
            return UUID(source)
        except (TypeError, ValueError, AttributeError):
            continue
    return None


def changed_fields(letter: DeadLetter, corrected: bytes, event_type: str) -> list[str]:
    """Names (never values) of the event's fields in which a correction differs from the original."""
    old, new = _object(letter.value), _object(corrected)
    return [name for name in registered[event_type].__struct_fields__ if old.get(name) != new.get(name)]


def _field(value: bytes | memoryview | None, name: str) -> str:
    return str(_object(value).get(name, ""))


def _object(value: bytes | memoryview | None) -> dict[str, object]:
    try:
        decoded = msgspec.json.decode(bytes(value or b""))
    except NOT_JSON:
        return {}
    return decoded if isinstance(decoded, dict) else {}


# Validating


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


_OF_THE_MESSAGE: Final = (
    (r"not JSON", "El contenido no es JSON válido en UTF-8."),
    (r"the header ce_type is missing", "Falta la cabecera ce_type, que dice de qué tipo es el evento."),
    (r"no event is declared with the type (.+)", "El tipo de evento {} no está declarado en esta versión del sistema."),
    (r"the name of a header is not UTF-8", "El nombre de una cabecera no está en UTF-8."),
    (r"the header (\w+) names no consumer", "La cabecera {} no nombra a ningún consumidor."),
)
_EXPLANATIONS: Final = (
    (r"Object missing required field `(?P<field>\w+)`", "falta este campo obligatorio"),
    (r"Invalid UUID", "no es un UUID"),
    (r"Invalid RFC3339 encoded datetime", "no es una fecha y hora RFC 3339 con huso, como 2026-11-23T15:04:05-03:00"),
    (r"Expected `datetime` with a timezone component", "le falta el huso horario, como en 2026-11-23T15:04:05-03:00"),
    (r"Expected `datetime` of (?P<years>\d+ to \d+)", "está fuera de los años {years}"),
    (r"(Integer value|Number) out of range", "es un número demasiado grande"),
    (r"Invalid enum value", "no es uno de los valores permitidos"),
    (r"Expected `\w+` of length (?P<limit>[<>]=? \d+)", "su largo debe ser {limit}"),
    (r"Expected `str` matching regex", "no tiene la forma esperada"),
    (r"Expected `(?P<wanted>[^`]+)`, got `(?P<given>[^`]+)`", "se esperaba {wanted} y llegó {given}"),
    (r"Expected `(?P<wanted>[^`]+)` (?P<limit>[<>]=? [-\d.]+)", "se esperaba {wanted} {limit}"),
)
_TYPE_NAMES: Final = {
    "int": "un número entero",
    "float": "un número",
    "str": "un texto",
    "bool": "true o false",
    "array": "una lista",
    "object": "un objeto",
    "null": "null",
    "uuid": "un UUID",
    "datetime": "una fecha y hora",
}


def why(letter: DeadLetter) -> str:
    """The error for a person: in Spanish, or, where a handler failed, which exception and where."""
    first = letter.error.split("\n")[0]
    return first if letter.reason == DeadLetter.Reason.HANDLER else explain(first.removeprefix("Undecodable: "))


def explain(error: str) -> str:
    """What an Undecodable says, in Spanish, naming the field. msgspec's own words where none of ours fit."""
    for pattern, spanish in _OF_THE_MESSAGE:
        if match := re.match(pattern, error):
            return spanish.format(*match.groups())
    problem, _, place = error.partition(" - at ")
    path = place.rpartition(" in ")[2]  # of "`key` in `$.insumos`" where a dict's key is wrong
    for pattern, spanish in _EXPLANATIONS:
        if match := re.match(pattern, problem):
            found = {name: _in_spanish(text) for name, text in match.groupdict().items()}
            name = ".".join(filter(None, [path.strip("`$").lstrip("."), match.groupdict().get("field")]))
            return f"«{name or 'todo el contenido'}»: {spanish.format(**found)}."
    return error


def _in_spanish(types: str) -> str:
    return " o ".join(_TYPE_NAMES.get(name, name) for name in types.split(" | ")).replace(" to ", " a ")


def syntax_error(text: str) -> str:
    """Where a JSON text is broken, by line and column, for the person who is editing it; empty if it is not."""
    try:
        msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        found = re.search(r"\(byte (\d+)\)", str(error))
        before = text.encode()[: int(found[1])].decode(errors="ignore") if found else text
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        return f"El JSON está mal escrito en la línea {line}, columna {column}."
    except RecursionError:
        return "El JSON está anidado demasiadas veces."
    return ""


# Resolving


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
