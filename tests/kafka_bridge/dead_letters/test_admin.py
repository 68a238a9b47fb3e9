"""Correct, replay and discard dead letters in the admin."""

from django.contrib.admin.models import LogEntry
from django.test import Client

from kafka_bridge.dead_letters import actions, reading
from kafka_bridge.dead_letters.actions import Actor
from kafka_bridge.models import DeadLetter, OutboxMessage
from tests.support.letters import LIST_URL, PERSONAL, MakeLetter, payload_with, url_of
from tests.support.sandbox import Sandbox


def test_payload_and_error_are_escaped(staff: Client, make_letter: MakeLetter) -> None:
    letter = make_letter(b'{"nombre": "<script>alert(1)</script>"}', error="<b>no</b>", traceback="File x")
    shown = staff.get(url_of(letter)).content.decode()
    assert "&lt;script&gt;alert(1)" in shown
    assert "<script>alert(1)" not in shown
    assert "&lt;b&gt;no&lt;/b&gt;" in shown


def test_the_line_of_a_json_error_is_named(staff: Client, make_letter: MakeLetter) -> None:
    letter = make_letter(b'{"a": "\xff\x00"', reason="undecodable", event_type="", headers=[])
    assert "\\xff" in staff.get(url_of(letter)).content.decode()
    assert "\\xff" in staff.get(url_of(letter, "correct_and_replay")).content.decode()
    form = {"payload": '{\r\n  "n": 1,,\r\n}', "event_type": letter.event_type}
    answer = staff.post(url_of(letter, "correct_and_replay"), form)
    assert "línea 2, columna 10" in answer.content.decode()


def test_every_page_explains_in_spanish(staff: Client, make_letter: MakeLetter) -> None:
    letter = make_letter(reason="schema", error="Undecodable: Expected `int`, got `str` - at `$.n`")
    for url in (LIST_URL, url_of(letter), url_of(letter, "correct_and_replay")):
        assert "«n»: se esperaba un número entero y llegó un texto." in staff.get(url).content.decode()


def test_staff_correct_and_replay(staff: Client, consumed: Sandbox, make_letter: MakeLetter) -> None:
    letter = make_letter()
    form = {"payload": payload_with(letter, name=PERSONAL), "event_type": consumed.event.type}
    answer = staff.post(url_of(letter, "correct_and_replay"), form, follow=True)
    assert "con el mismo id de evento" in answer.content.decode()
    letter.refresh_from_db()
    assert letter.state == "replayed"
    entry = LogEntry.objects.get()
    assert entry.get_change_message() == "Corregido y reenviado. Campos corregidos: name."
    assert PERSONAL not in entry.object_repr + entry.change_message


def test_an_unchanged_payload_keeps_its_bytes(staff: Client, consumed: Sandbox, make_letter: MakeLetter) -> None:
    letter = make_letter()
    shown = reading.as_text(letter.value).replace("\n", "\r\n")  # as a browser sends it back
    staff.post(url_of(letter, "correct_and_replay"), {"payload": shown, "event_type": consumed.event.type})
    letter.refresh_from_db()
    assert letter.corrected_value is None
    assert bytes(OutboxMessage.objects.get().value) == bytes(letter.value or b"")


def test_a_wrong_correction_names_its_field(staff: Client, consumed: Sandbox, make_letter: MakeLetter) -> None:
    letter = make_letter()
    form = {"payload": payload_with(letter, n="x"), "event_type": consumed.event.type}
    answer = staff.post(url_of(letter, "correct_and_replay"), form)
    assert "«n»: se esperaba un número entero" in answer.content.decode()
    letter.refresh_from_db()
    assert letter.state == "open"


def test_a_second_click_says_who_was_first(staff: Client, consumed: Sandbox, make_letter: MakeLetter) -> None:
    letter = make_letter()
    actions.replay(letter.pk, by=Actor("otra"))
    form = {"payload": payload_with(letter), "event_type": consumed.event.type}
    for name in ("correct_and_replay", "discard_one"):
        answer = staff.post(url_of(letter, name), {**form, "reason": "no", "confirmed": "1"}, follow=True)
        assert "Ya está reenviado por otra" in answer.content.decode()
    assert OutboxMessage.objects.count() == 1


def test_the_selected_wait_for_confirmation(staff: Client, make_letter: MakeLetter) -> None:
    chosen, other = [make_letter(), make_letter()], make_letter()
    form = {"action": "replay_selected", "_selected_action": [letter.pk for letter in chosen]}
    asked = staff.post(LIST_URL, form)
    assert "2 mensajes pendientes" in asked.content.decode()
    assert not OutboxMessage.objects.exists()
    staff.post(LIST_URL, {**form, "confirmed": "1", "select_across": "0"})
    assert list(DeadLetter.objects.filter(state="open")) == [other]
    assert LogEntry.objects.count() == 2


def test_all_filtered_are_replayed(staff: Client, make_letter: MakeLetter) -> None:
    letters = [make_letter() for _ in range(60)]  # more than a page
    other = make_letter(b"{}", reason="schema")
    form = {
        "action": "replay_selected",
        "_selected_action": letters[0].pk,
        "select_across": "1",
        "confirmed": "1",
    }
    staff.post(f"{LIST_URL}?reason__exact=handler", form)
    assert list(DeadLetter.objects.filter(state="open")) == [other]
    assert OutboxMessage.objects.count() == 60


def test_a_discard_needs_a_reason(staff: Client, make_letter: MakeLetter) -> None:
    letter = make_letter()
    form = {"action": "discard_selected", "_selected_action": letter.pk, "confirmed": "1"}
    staff.post(LIST_URL, {**form, "reason": " "})
    letter.refresh_from_db()
    assert letter.state == "open"
    staff.post(LIST_URL, {**form, "reason": "era una prueba"})
    letter.refresh_from_db()
    assert (letter.state, letter.discard_reason, letter.resolved_by) == ("discarded", "era una prueba", "jefa")
    assert LogEntry.objects.get().get_change_message() == "Descartado, con un motivo."


def test_one_is_discarded_from_its_page(staff: Client, make_letter: MakeLetter) -> None:
    letter, other = make_letter(), make_letter()
    assert "un mensaje pendiente" in staff.get(url_of(letter, "discard_one")).content.decode()
    staff.post(url_of(letter, "discard_one"), {"confirmed": "1", "reason": "duplicado"})
    assert list(DeadLetter.objects.filter(state="open")) == [other]


def test_a_correction_that_is_too_large_is_refused(staff: Client, consumed: Sandbox, make_letter: MakeLetter) -> None:
    letter = make_letter()
    form = {"payload": payload_with(letter, name="n" * 995_000), "event_type": consumed.event.type}
    answer = staff.post(url_of(letter, "correct_and_replay"), form)
    assert "Kafka acepta hasta 990000" in answer.content.decode()
    letter.refresh_from_db()
    assert (letter.state, OutboxMessage.objects.count()) == ("open", 0)
