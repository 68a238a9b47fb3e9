"""Replay one dead letter, as it is or corrected."""

import json
import logging
from uuid import uuid4

import pytest
from django.db import IntegrityError, transaction

from kafka_bridge.consuming.record import REPLAY_HEADER
from kafka_bridge.dead_letters import actions, reading
from kafka_bridge.dead_letters.actions import Actor
from kafka_bridge.exceptions import AlreadyResolved, NotReplayable
from kafka_bridge.models import DeadLetter, OutboxMessage
from tests.support.letters import PERSONAL, STAFF, MakeLetter, in_threads, payload_with
from tests.support.sandbox import Sandbox


def test_it_keeps_its_id_and_names_the_consumer(make_letter: MakeLetter) -> None:
    letter = make_letter()
    actions.replay(letter.pk, by=STAFF)
    message = OutboxMessage.objects.get()
    assert message.event_id == reading.event_id(letter)
    assert bytes(message.value) == bytes(letter.value or b"")
    assert dict(message.headers)[REPLAY_HEADER] == letter.consumer
    assert dict(message.headers)["ce_id"] == str(message.event_id)
    letter.refresh_from_db()
    assert (letter.state, letter.resolved_by, letter.corrected_value) == ("replayed", "jefa", None)
    assert letter.resolved_at is not None


def test_a_correction_is_kept_with_the_original(make_letter: MakeLetter) -> None:
    letter = make_letter()
    original = bytes(letter.value or b"")
    actions.replay(letter.pk, by=STAFF, value=payload_with(letter, n=99).encode())
    letter.refresh_from_db()
    assert bytes(letter.value or b"") == original
    assert json.loads(bytes(letter.corrected_value or b""))["n"] == 99
    assert json.loads(bytes(OutboxMessage.objects.get().value))["n"] == 99


def test_a_correction_keeps_unknown_fields(make_letter: MakeLetter) -> None:
    letter = make_letter()
    actions.replay(letter.pk, by=STAFF, value=payload_with(letter, n=2, newer="kept").encode())
    assert json.loads(bytes(OutboxMessage.objects.get().value))["newer"] == "kept"


@pytest.mark.parametrize(
    ("correction", "explanation"),
    [
        ({"n": "seis"}, "«n»: se esperaba un número entero y llegó un texto."),
        ({"time": "ayer"}, "«time»: no es una fecha y hora RFC 3339"),
        ({"time": "0001-01-01T00:00:00+14:00"}, "«time»: está fuera de los años 2000 a 2199."),
        ({"time": "2026-11-23T15:04:05"}, "«time»: le falta el huso horario"),
        ({"id": PERSONAL}, "«id»: no es un UUID."),
        ({"id": str(uuid4())}, "«id»: el id del evento no se cambia"),
        ({"name": None}, "«name»: se esperaba un texto y llegó null."),
    ],
)
def test_a_wrong_field_is_named_and_stays_open(
    make_letter: MakeLetter, correction: dict[str, object], explanation: str
) -> None:
    letter = make_letter()
    with pytest.raises(NotReplayable, match=explanation.replace("(", r"\(")) as refused:
        actions.replay(letter.pk, by=STAFF, value=payload_with(letter, **correction).encode())
    assert PERSONAL not in str(refused.value)
    letter.refresh_from_db()
    assert letter.state == "open"
    assert not OutboxMessage.objects.exists()


def test_a_missing_field_is_named(make_letter: MakeLetter) -> None:
    with pytest.raises(NotReplayable, match="«n»: falta este campo obligatorio"):
        actions.replay(make_letter(b'{"id": "%s"}' % str(uuid4()).encode()).pk, by=STAFF)


def test_a_consumer_must_handle_the_event(consumed: Sandbox, make_letter: MakeLetter) -> None:
    letter = make_letter()
    consumed.consumer.handlers.clear()
    with pytest.raises(NotReplayable, match="no procesa eventos del tipo"):
        actions.replay(letter.pk, by=STAFF)
    gone = make_letter(consumer="retirado")
    with pytest.raises(NotReplayable, match="ya no existe"):
        actions.replay(gone.pk, by=STAFF)


def test_staff_choose_the_type_if_unknown(consumed: Sandbox, make_letter: MakeLetter) -> None:
    letter = make_letter()
    DeadLetter.objects.filter(pk=letter.pk).update(headers=[], event_type="")
    with pytest.raises(NotReplayable, match="no está declarado"):
        actions.replay(letter.pk, by=STAFF)
    actions.replay(letter.pk, by=STAFF, event_type=consumed.event.type)
    assert dict(OutboxMessage.objects.get().headers)["ce_type"] == consumed.event.type


def test_a_second_replay_is_refused(make_letter: MakeLetter) -> None:
    letter = make_letter()
    actions.replay(letter.pk, by=STAFF)
    with pytest.raises(AlreadyResolved, match="reenviado por jefa"):
        actions.replay(letter.pk, by=Actor("otro"))
    assert OutboxMessage.objects.count() == 1
    letter.refresh_from_db()
    assert letter.resolved_by == "jefa"


def test_of_several_at_once_one_replays(make_letter: MakeLetter) -> None:
    letter = make_letter()
    results = in_threads(4, lambda: actions.replay(letter.pk, by=STAFF))
    assert sorted(type(result).__name__ for result in results) == ["AlreadyResolved"] * 3 + ["NoneType"]
    assert OutboxMessage.objects.count() == 1


def test_row_and_message_are_one_transaction(make_letter: MakeLetter) -> None:
    letter = make_letter()

    def replay_and_fail() -> None:
        with transaction.atomic():
            actions.replay(letter.pk, by=STAFF)
            raise IntegrityError

    with pytest.raises(IntegrityError):
        replay_and_fail()
    letter.refresh_from_db()
    assert letter.state == "open"
    assert not OutboxMessage.objects.exists()


def test_no_personal_data_reaches_the_log(make_letter: MakeLetter, caplog: pytest.LogCaptureFixture) -> None:
    letter = make_letter(payload_with(make_letter(), name=PERSONAL).encode())
    bad = make_letter(payload_with(letter, n=PERSONAL).encode())
    with caplog.at_level(logging.DEBUG):
        actions.replay(letter.pk, by=STAFF)
        with pytest.raises(NotReplayable) as refused:
            actions.replay(bad.pk, by=STAFF)
    assert PERSONAL not in caplog.text + str(refused.value)


def test_a_resolution_needs_its_time(make_letter: MakeLetter) -> None:
    letter = make_letter()
    with pytest.raises(IntegrityError, match="dead_letter_resolved_once"):
        DeadLetter.objects.filter(pk=letter.pk).update(state="replayed")
