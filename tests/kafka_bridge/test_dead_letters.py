"""Dead letters: shown safely, corrected, replayed once to the consumer that failed, discarded with a reason (promise 3)."""

import json
import logging
import threading
from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from deploy.embedded.waiting import wait_until
from kafka_bridge.consuming.handlers import Consumer, consumers
from kafka_bridge.consuming.record import REPLAY_HEADER
from kafka_bridge.dead_letters import actions, explain, reading
from kafka_bridge.dead_letters.actions import Actor
from kafka_bridge.errors import describe
from kafka_bridge.events.codec import decode, encode
from kafka_bridge.exceptions import AlreadyResolved, NotReplayable, Undecodable
from kafka_bridge.models import ConsumerOffset, DeadLetter, OutboxMessage
from kafka_bridge.publishing import relay
from tests.support.sandbox import SECONDS, Sandbox

RUT = "12.345.678-5"
STAFF = Actor("jefa")
MakeLetter = Callable[..., DeadLetter]


@pytest.fixture
def consumed(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """The sandbox, its consumer known by name."""
    monkeypatch.setitem(consumers, sandbox.consumer.name, sandbox.consumer)
    return sandbox


@pytest.fixture
def make_letter(consumed: Sandbox) -> MakeLetter:
    """A dead letter of the sandbox's consumer: a good event unless told otherwise."""
    offset = 0

    def make(value: bytes | None = None, **fields: object) -> DeadLetter:
        nonlocal offset
        offset += 1
        message = encode(consumed.happened(offset, "key"))
        headers = [[name, text.decode()] for name, text in message.headers]
        return DeadLetter.objects.create(
            **{
                "consumer": consumed.consumer.name,
                "topic": consumed.topic.name,
                "partition": 0,
                "offset": offset,
                "event_type": consumed.event.type,
                "key": message.key,
                "headers": headers,
                "value": message.value if value is None else value,
                "message_at": timezone.now(),
                "reason": DeadLetter.Reason.HANDLER,
                "error": "ValueError: no",
                "attempts": 2,
                **fields,
            }
        )

    return make


def client_with(*permissions: str, username: str = "jefa") -> Client:
    user = get_user_model().objects.create_user(username, password="x", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def staff(consumed: Sandbox) -> Client:
    """May see, replay and discard."""
    return client_with("view_deadletter", "replay_deadletter", "discard_deadletter")


def changed(letter: DeadLetter, **fields: object) -> str:
    """The letter's payload as JSON text with some fields replaced."""
    return json.dumps({**json.loads(bytes(letter.value or b"{}")), **fields})


def page(letter: DeadLetter, name: str = "change") -> str:
    return reverse(f"admin:kafka_bridge_deadletter_{name}", args=[letter.pk])


LIST = "/admin/kafka_bridge/deadletter/"


# The whole way


def test_a_poisoned_event_that_staff_replay_reaches_only_the_consumer_that_failed_and_once(
    consumed: Sandbox, staff: Client
) -> None:
    consumed.poison = {7}
    consumed.publish(*range(10), key="one")
    bystander = Consumer(f"bystander-{uuid4()}", 500)
    seen: list[int] = []
    other = Sandbox(consumed.topic, consumed.event, bystander)
    bystander.handlers[consumed.event] = lambda events: seen.extend(event.n for event in events)
    with consumed.running(consumed.runner(), other.runner()):
        wait_until(lambda: len(consumed.rows()) == 9 and len(seen) == 10, SECONDS)
        consumed.poison = set()
        letter = DeadLetter.objects.get()
        original = json.loads(bytes(letter.value or b""))
        form = {"payload": json.dumps(original), "event_type": consumed.event.type}
        assert staff.post(page(letter, "correct_and_replay"), form).status_code == 302
        wait_until(relay.step, SECONDS)
        wait_until(lambda: 7 in consumed.rows(), SECONDS)
        consumed.publish(10, key="one")
        wait_until(lambda: 10 in seen and 10 in consumed.rows(), SECONDS)
    assert sorted(consumed.rows()) == list(range(11))
    assert seen == list(range(11))  # the replay of 7 passed it by
    with connection.cursor() as cursor:
        cursor.execute("SELECT event_id FROM sandbox_row WHERE n = 7")
        assert cursor.fetchall() == [(UUID(original["id"]),)]


def test_a_replay_that_fails_again_is_a_new_dead_letter_of_the_same_event(consumed: Sandbox) -> None:
    consumed.poison = {7}
    consumed.publish(7)
    with consumed.running(consumed.runner()):
        wait_until(DeadLetter.objects.exists, SECONDS)
        first = DeadLetter.objects.get()
        actions.replay(first.pk, by=STAFF)
        wait_until(relay.step, SECONDS)
        wait_until(lambda: DeadLetter.objects.count() == 2, SECONDS)
    second = DeadLetter.objects.get(state="open")
    assert reading.event_id(second) == reading.event_id(first)
    actions.replay(second.pk, by=STAFF)
    headers = OutboxMessage.objects.get().headers
    assert [value for name, value in headers if name == REPLAY_HEADER] == [consumed.consumer.name]


# Replaying one


def test_a_replay_goes_to_the_outbox_with_its_own_id_and_names_the_consumer(make_letter: MakeLetter) -> None:
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


def test_a_correction_is_published_and_kept_beside_the_original(make_letter: MakeLetter) -> None:
    letter = make_letter()
    original = bytes(letter.value or b"")
    actions.replay(letter.pk, by=STAFF, value=changed(letter, n=99).encode())
    letter.refresh_from_db()
    assert bytes(letter.value or b"") == original
    assert json.loads(bytes(letter.corrected_value or b""))["n"] == 99
    assert json.loads(bytes(OutboxMessage.objects.get().value))["n"] == 99


def test_a_correction_keeps_what_a_newer_producer_added(make_letter: MakeLetter) -> None:
    letter = make_letter()
    actions.replay(letter.pk, by=STAFF, value=changed(letter, n=2, newer="kept").encode())
    assert json.loads(bytes(OutboxMessage.objects.get().value))["newer"] == "kept"


@pytest.mark.parametrize(
    ("correction", "explanation"),
    [
        ({"n": "seis"}, "«n»: se esperaba un número entero y llegó un texto."),
        ({"time": "ayer"}, "«time»: no es una fecha y hora RFC 3339"),
        ({"time": "0001-01-01T00:00:00+14:00"}, "«time»: está fuera de los años 2000 a 2199."),
        ({"time": "2026-11-23T15:04:05"}, "«time»: le falta el huso horario"),
        ({"id": RUT}, "«id»: no es un UUID."),
        ({"id": str(uuid4())}, "«id»: el id del evento no se cambia"),
        ({"name": None}, "«name»: se esperaba un texto y llegó null."),
    ],
)
def test_what_does_not_fit_the_class_stays_open_and_the_error_names_the_field(
    make_letter: MakeLetter, correction: dict[str, object], explanation: str
) -> None:
    letter = make_letter()
    with pytest.raises(NotReplayable, match=explanation.replace("(", r"\(")) as refused:
        actions.replay(letter.pk, by=STAFF, value=changed(letter, **correction).encode())
    assert RUT not in str(refused.value)
    letter.refresh_from_db()
    assert letter.state == "open"
    assert not OutboxMessage.objects.exists()


@pytest.mark.parametrize(
    ("headers", "explanation"),
    [
        ({}, "Falta la cabecera ce_type, que dice de qué tipo es el evento."),
        ({"ce_type": b"a.b.v1"}, "El tipo de evento 'a.b.v1' no está declarado en esta versión del sistema."),
    ],
)
def test_staff_read_in_spanish_that_a_type_is_unknown(
    make_letter: MakeLetter, headers: dict[str, bytes], explanation: str
) -> None:
    assert explain.why(refused(make_letter, headers, b"{}")) == explanation


@pytest.mark.parametrize(
    ("value", "explanation"),
    [
        (b"\xff", "El contenido no es JSON válido en UTF-8."),
        (b'{"n": "x"}', "«n»: se esperaba un número entero y llegó un texto."),
    ],
)
def test_staff_read_in_spanish_what_is_wrong_with_the_payload(
    consumed: Sandbox, make_letter: MakeLetter, value: bytes, explanation: str
) -> None:
    headers = {"ce_type": consumed.event.type.encode()}
    assert explain.why(refused(make_letter, headers, value)) == explanation


def refused(make_letter: MakeLetter, headers: dict[str, bytes], value: bytes) -> DeadLetter:
    """The dead letter of a message that is no event."""
    with pytest.raises(Undecodable) as caught:
        decode(headers, value)
    return make_letter(value, reason=caught.value.reason, error=describe(caught.value))


def test_of_a_handlers_error_staff_see_what_failed_and_where(make_letter: MakeLetter) -> None:
    assert explain.why(make_letter(error="IntegrityError 23505 one_sale\nmore")) == "IntegrityError 23505 one_sale"


def test_a_missing_field_is_named(make_letter: MakeLetter) -> None:
    with pytest.raises(NotReplayable, match="«n»: falta este campo obligatorio"):
        actions.replay(make_letter(b'{"id": "%s"}' % str(uuid4()).encode()).pk, by=STAFF)


def test_a_replay_to_a_consumer_that_would_skip_it_is_refused(consumed: Sandbox, make_letter: MakeLetter) -> None:
    letter = make_letter()
    consumed.consumer.handlers.clear()
    with pytest.raises(NotReplayable, match="no procesa eventos del tipo"):
        actions.replay(letter.pk, by=STAFF)
    gone = make_letter(consumer="retirado")
    with pytest.raises(NotReplayable, match="ya no existe"):
        actions.replay(gone.pk, by=STAFF)


def test_an_unknown_type_is_replayed_under_the_type_that_staff_choose(
    consumed: Sandbox, make_letter: MakeLetter
) -> None:
    letter = make_letter()
    DeadLetter.objects.filter(pk=letter.pk).update(headers=[], event_type="")
    with pytest.raises(NotReplayable, match="no está declarado"):
        actions.replay(letter.pk, by=STAFF)
    actions.replay(letter.pk, by=STAFF, event_type=consumed.event.type)
    assert dict(OutboxMessage.objects.get().headers)["ce_type"] == consumed.event.type


def test_twice_is_harmless(make_letter: MakeLetter) -> None:
    letter = make_letter()
    actions.replay(letter.pk, by=STAFF)
    with pytest.raises(AlreadyResolved, match="reenviado por jefa"):
        actions.replay(letter.pk, by=Actor("otro"))
    assert OutboxMessage.objects.count() == 1
    letter.refresh_from_db()
    assert letter.resolved_by == "jefa"


def in_threads(count: int, work: Callable[[], object]) -> list[object]:
    """Runs `work` in threads that start together, each with its own connection; what each returned or raised."""
    barrier, results = threading.Barrier(count), []

    def run() -> None:
        barrier.wait(SECONDS)
        try:
            results.append(work())
        except AlreadyResolved as error:
            results.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
    return results


def test_of_several_staff_at_once_one_replays(make_letter: MakeLetter) -> None:
    letter = make_letter()
    results = in_threads(4, lambda: actions.replay(letter.pk, by=STAFF))
    assert sorted(type(result).__name__ for result in results) == ["AlreadyResolved"] * 3 + ["NoneType"]
    assert OutboxMessage.objects.count() == 1


# Replaying many


def test_several_replays_of_everything_at_once_publish_each_once(
    make_letter: MakeLetter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(actions, "CHUNK", 10)
    for _ in range(60):
        make_letter()
    summaries = in_threads(3, lambda: actions.replay_all(DeadLetter.objects.all(), by=STAFF))
    assert sum(summary.done for summary in summaries if isinstance(summary, actions.Summary)) == 60
    ids = list(OutboxMessage.objects.values_list("event_id", flat=True))
    assert len(ids) == len(set(ids)) == 60


def test_those_that_do_not_fit_stay_open_and_are_counted_by_reason(make_letter: MakeLetter) -> None:
    good = [make_letter() for _ in range(3)]
    bad = [make_letter(b"{}", reason="schema") for _ in range(2)]
    summary = actions.replay_all(DeadLetter.objects.all(), by=STAFF)
    assert (summary.done, summary.refused.total(), summary.left) == (3, 2, 0)
    assert set(DeadLetter.objects.filter(state="open")) == set(bad)
    assert OutboxMessage.objects.count() == len(good)


def test_many_take_few_queries_and_bounded_chunks(make_letter: MakeLetter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(actions, "CHUNK", 50)
    for _ in range(200):
        make_letter()
    seen: list[int] = []
    with CaptureQueriesContext(connection) as queries:
        actions.replay_all(DeadLetter.objects.all(), by=STAFF, progress=lambda done, _of: seen.append(done))
    assert seen == [50, 100, 150, 200]
    assert len(queries) < 40


def test_large_payloads_make_smaller_chunks(make_letter: MakeLetter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(actions, "CHUNK_BYTES", 500)
    sizes = {letter.pk: len(letter.value or b"") for letter in (make_letter() for _ in range(9))}
    chunks = list(actions._chunks(DeadLetter.objects.all()))
    assert len(chunks) > 1
    assert all(sum(sizes[pk] for pk in chunk) <= 500 for chunk in chunks)
    assert [pk for chunk in chunks for pk in chunk] == sorted(sizes)


def test_out_of_time_it_stops_and_says_what_is_left(make_letter: MakeLetter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(actions, "CHUNK", 10)
    for _ in range(30):
        make_letter()
    summary = actions.replay_all(DeadLetter.objects.all(), by=STAFF, seconds=0)
    assert (summary.done, summary.left) == (10, 20)
    assert actions.replay_all(DeadLetter.objects.all(), by=STAFF).done == 20


def test_the_row_and_the_message_are_one_transaction(make_letter: MakeLetter) -> None:
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


# Showing


def test_bytes_that_are_no_text_are_shown_escaped() -> None:
    assert reading.as_text(b'\xff\x00{"a"') == '\\xff\\u0000{"a"'
    assert reading.as_text(None) == ""
    assert reading.as_text(b'{"a": "\xff"}') == '{"a": "\\xff"}'


def test_json_is_indented_without_changing_a_digit() -> None:
    assert (
        reading.as_text('{"a":1.0,"ñ":12345678901234567890}'.encode())
        == '{\n  "a": 1.0,\n  "ñ": 12345678901234567890\n}'
    )


def test_the_page_of_one_shows_payload_and_error_and_escapes_both(staff: Client, make_letter: MakeLetter) -> None:
    letter = make_letter(b'{"nombre": "<script>alert(1)</script>"}', error="<b>no</b>", traceback="File x")
    shown = staff.get(page(letter)).content.decode()
    assert "&lt;script&gt;alert(1)" in shown
    assert "<script>alert(1)" not in shown
    assert "&lt;b&gt;no&lt;/b&gt;" in shown


def test_an_undecodable_one_has_its_pages_and_its_broken_line_named(staff: Client, make_letter: MakeLetter) -> None:
    letter = make_letter(b'{"a": "\xff\x00"', reason="undecodable", event_type="", headers=[])
    assert "\\xff" in staff.get(page(letter)).content.decode()
    assert "\\xff" in staff.get(page(letter, "correct_and_replay")).content.decode()
    form = {"payload": '{\r\n  "n": 1,,\r\n}', "event_type": letter.event_type}
    answer = staff.post(page(letter, "correct_and_replay"), form)
    assert "línea 2, columna 10" in answer.content.decode()


# The admin's actions and who may


def test_why_is_in_spanish_in_the_list_and_on_both_pages(staff: Client, make_letter: MakeLetter) -> None:
    letter = make_letter(reason="schema", error="Undecodable: Expected `int`, got `str` - at `$.n`")
    for url in (LIST, page(letter), page(letter, "correct_and_replay")):
        assert "«n»: se esperaba un número entero y llegó un texto." in staff.get(url).content.decode()


def test_staff_correct_and_replay(staff: Client, consumed: Sandbox, make_letter: MakeLetter) -> None:
    letter = make_letter()
    form = {"payload": changed(letter, name=RUT), "event_type": consumed.event.type}
    answer = staff.post(page(letter, "correct_and_replay"), form, follow=True)
    assert "con el mismo id de evento" in answer.content.decode()
    letter.refresh_from_db()
    assert letter.state == "replayed"
    entry = LogEntry.objects.get()
    assert entry.get_change_message() == "Corregido y reenviado. Campos corregidos: name."
    assert RUT not in entry.object_repr + entry.change_message


def test_an_unchanged_payload_is_replayed_byte_for_byte(
    staff: Client, consumed: Sandbox, make_letter: MakeLetter
) -> None:
    letter = make_letter()
    shown = reading.as_text(letter.value).replace("\n", "\r\n")  # as a browser sends it back
    staff.post(page(letter, "correct_and_replay"), {"payload": shown, "event_type": consumed.event.type})
    letter.refresh_from_db()
    assert letter.corrected_value is None
    assert bytes(OutboxMessage.objects.get().value) == bytes(letter.value or b"")


def test_a_correction_that_does_not_fit_comes_back_with_the_field(
    staff: Client, consumed: Sandbox, make_letter: MakeLetter
) -> None:
    letter = make_letter()
    form = {"payload": changed(letter, n="x"), "event_type": consumed.event.type}
    answer = staff.post(page(letter, "correct_and_replay"), form)
    assert "«n»: se esperaba un número entero" in answer.content.decode()
    letter.refresh_from_db()
    assert letter.state == "open"


def test_a_second_click_says_who_was_first(staff: Client, consumed: Sandbox, make_letter: MakeLetter) -> None:
    letter = make_letter()
    actions.replay(letter.pk, by=Actor("otra"))
    form = {"payload": changed(letter), "event_type": consumed.event.type}
    for name in ("correct_and_replay", "discard_one"):
        answer = staff.post(page(letter, name), {**form, "reason": "no", "confirmed": "1"}, follow=True)
        assert "Ya está reenviado por otra" in answer.content.decode()
    assert OutboxMessage.objects.count() == 1


def test_the_selected_are_replayed_after_a_page_that_says_what_they_are(staff: Client, make_letter: MakeLetter) -> None:
    chosen, other = [make_letter(), make_letter()], make_letter()
    form = {"action": "replay_selected", "_selected_action": [letter.pk for letter in chosen]}
    asked = staff.post(LIST, form)
    assert "2 mensajes pendientes" in asked.content.decode()
    assert not OutboxMessage.objects.exists()
    staff.post(LIST, {**form, "confirmed": "1", "select_across": "0"})
    assert list(DeadLetter.objects.filter(state="open")) == [other]
    assert LogEntry.objects.count() == 2


def test_all_that_are_filtered_are_replayed_and_no_others(staff: Client, make_letter: MakeLetter) -> None:
    letters = [make_letter() for _ in range(60)]  # more than a page
    other = make_letter(b"{}", reason="schema")
    form = {
        "action": "replay_selected",
        "_selected_action": letters[0].pk,
        "select_across": "1",
        "confirmed": "1",
    }
    staff.post(f"{LIST}?reason__exact=handler", form)
    assert list(DeadLetter.objects.filter(state="open")) == [other]
    assert OutboxMessage.objects.count() == 60


def test_a_discard_needs_a_reason_and_keeps_it(staff: Client, make_letter: MakeLetter) -> None:
    letter = make_letter()
    form = {"action": "discard_selected", "_selected_action": letter.pk, "confirmed": "1"}
    staff.post(LIST, {**form, "reason": " "})
    letter.refresh_from_db()
    assert letter.state == "open"
    staff.post(LIST, {**form, "reason": "era una prueba"})
    letter.refresh_from_db()
    assert (letter.state, letter.discard_reason, letter.resolved_by) == ("discarded", "era una prueba", "jefa")
    assert LogEntry.objects.get().get_change_message() == "Descartado, con un motivo."


def test_one_is_discarded_from_its_page(staff: Client, make_letter: MakeLetter) -> None:
    letter, other = make_letter(), make_letter()
    assert "un mensaje pendiente" in staff.get(page(letter, "discard_one")).content.decode()
    staff.post(page(letter, "discard_one"), {"confirmed": "1", "reason": "duplicado"})
    assert list(DeadLetter.objects.filter(state="open")) == [other]


@pytest.mark.parametrize(
    ("permissions", "replays", "discards"),
    [
        (["view_deadletter"], 403, 403),
        (["view_deadletter", "replay_deadletter"], 200, 403),
        (["view_deadletter", "discard_deadletter"], 403, 200),
        (["replay_deadletter", "discard_deadletter"], 403, 403),  # correcting shows the payload
    ],
)
def test_each_action_needs_its_own_permission(
    make_letter: MakeLetter, permissions: list[str], replays: int, discards: int
) -> None:
    letter, client = make_letter(), client_with(*permissions)
    assert client.get(page(letter, "correct_and_replay")).status_code == replays
    assert client.get(page(letter, "discard_one")).status_code == discards
    for name, status in (("replay_selected", replays), ("discard_selected", discards)):
        form = {"action": name, "_selected_action": letter.pk, "confirmed": "1", "reason": "no"}
        client.post(LIST, form)
        letter.refresh_from_db()
        assert (letter.state != "open") == (status == 200)
        DeadLetter.objects.update(state="open", resolved_at=None)


def test_without_permission_to_view_nothing_is_shown(make_letter: MakeLetter) -> None:
    letter, client = make_letter(), client_with()
    assert client.get(page(letter)).status_code == 403
    assert client.get(LIST).status_code == 403


def test_nobody_writes_or_deletes_one_by_hand(admin_client: Client, make_letter: MakeLetter) -> None:
    letter = make_letter()
    assert admin_client.get(f"{LIST}add/").status_code == 403
    assert admin_client.post(page(letter, "delete"), {"post": "yes"}).status_code == 403
    assert admin_client.post(page(letter), {"state": "discarded"}).status_code == 403


# The list


def test_the_list_shows_what_is_pending_and_filters(staff: Client, make_letter: MakeLetter) -> None:
    old, new, done = make_letter(), make_letter(reason="schema"), make_letter()
    DeadLetter.objects.filter(pk=old.pk).update(created_at=timezone.now() - timedelta(days=3))
    actions.discard_all(DeadLetter.objects.filter(pk=done.pk), by=STAFF, reason="no")

    def shown(**query: str) -> set[DeadLetter]:
        return set(staff.get(LIST, query).context["cl"].result_list)

    assert shown() == {old, new}
    assert shown(state="any") == {old, new, done}
    assert shown(state="discarded") == {done}
    assert shown(reason__exact="schema") == {new}
    assert shown(age="day") == {new}
    assert shown(age="over-a-day") == {old}
    assert shown(consumer=old.consumer) == {old, new}
    assert shown(consumer="otro") == set()
    assert shown(q=str(reading.event_id(old)).upper()) == {old}
    assert shown(q=str(new.offset)) == {new}
    assert shown(q="nada de eso") == set()


def test_the_list_takes_no_query_a_row(staff: Client, make_letter: MakeLetter) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            staff.get(LIST)
        return len(captured)

    make_letter()
    staff.get(LIST)
    one = queries()
    for _ in range(20):
        make_letter()
    assert queries() == one


def test_offsets_and_outbox_are_read_only_and_the_outbox_hides_its_payload(
    admin_client: Client, consumed: Sandbox, make_letter: MakeLetter
) -> None:
    letter = make_letter()
    actions.replay(letter.pk, by=STAFF, value=changed(letter, name=RUT).encode())
    ConsumerOffset.objects.create(consumer="c", topic="t", partition=0, next_offset=5, topic_uuid="u")
    for model in (OutboxMessage, ConsumerOffset):
        row = model.objects.get()
        name = model._meta.model_name
        assert admin_client.get(reverse(f"admin:kafka_bridge_{name}_changelist")).status_code == 200
        shown = admin_client.get(reverse(f"admin:kafka_bridge_{name}_change", args=[row.pk]))
        assert shown.status_code == 200
        assert RUT not in shown.content.decode()
        assert admin_client.get(reverse(f"admin:kafka_bridge_{name}_add")).status_code == 403


# The command


def run(*arguments: str) -> str:
    out = StringIO()
    call_command("replay_dead_letters", *arguments, stdout=out, stderr=StringIO())
    return out.getvalue()


def test_the_command_replays_what_it_is_told_to(make_letter: MakeLetter, staff: Client) -> None:
    letters = [make_letter() for _ in range(4)]
    make_letter(consumer="retirado")
    own = ("--consumer", letters[0].consumer)
    assert "4 of 4 open dead letters would be replayed" in run(*own, "--dry-run")
    assert not OutboxMessage.objects.exists()
    assert "1 of 1" in run("--ids", str(letters[0].pk), "--user", "jefa")
    assert "3 of 3" in run("--type", letters[0].event_type, "--reason", "handler", *own, "--user", "jefa")
    assert "0 of 0" in run("--reason", "schema", "--user", "jefa")
    assert LogEntry.objects.count() == 4


def test_the_command_chooses_by_age(make_letter: MakeLetter, staff: Client) -> None:
    old, new = make_letter(), make_letter()
    DeadLetter.objects.filter(pk=old.pk).update(created_at=timezone.now() - timedelta(days=3))
    assert "1 of 1" in run("--older-than", "2d", "--user", "jefa")
    assert list(DeadLetter.objects.filter(state="open")) == [new]
    assert "0 of 0" in run("--older-than", "30m", "--dry-run")
    assert "1 of 1" in run("--newer-than", "12h", "--dry-run")
    with pytest.raises(CommandError, match="30m, 12h or 7d"):
        run("--newer-than", "ayer")


def test_the_command_discards_with_a_reason(make_letter: MakeLetter, staff: Client) -> None:
    letter = make_letter()
    assert "1 of 1 open dead letters discarded" in run("--discard", "era una prueba", "--user", "jefa")
    letter.refresh_from_db()
    assert (letter.state, letter.discard_reason, letter.resolved_by) == ("discarded", "era una prueba", "jefa")
    assert LogEntry.objects.get().get_change_message() == "Descartado, con un motivo."
    with pytest.raises(CommandError, match="takes a reason"):
        run("--discard", " ", "--user", "jefa")


def test_the_command_replays_one_with_a_correction_from_a_file(
    make_letter: MakeLetter, staff: Client, tmp_path: Path
) -> None:
    letter, other = make_letter(b"{", headers=[], event_type=""), make_letter()
    file = tmp_path / "corrected.json"
    file.write_text(changed(other, n="no number"))
    arguments = ["--ids", str(letter.pk), "--correction", str(file), "--as-type", other.event_type, "--user", "jefa"]
    with pytest.raises(CommandError, match="«n»: se esperaba un número entero"):
        run(*arguments)
    file.write_text(changed(other, n=99))
    assert "1 dead letter corrected and replayed" in run(*arguments)
    assert json.loads(bytes(OutboxMessage.objects.get().value))["n"] == 99
    assert "Corregido y reenviado." in LogEntry.objects.get().get_change_message()
    with pytest.raises(CommandError, match="reenviado por jefa"):
        run(*arguments)
    with pytest.raises(CommandError, match="for one dead letter"):
        run("--correction", str(file), "--user", "jefa")


def test_the_command_fails_and_says_why_where_some_do_not_fit(
    make_letter: MakeLetter, staff: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    make_letter(b"{}")
    with pytest.raises(CommandError, match="1 stay open"):
        call_command("replay_dead_letters", "--user", "jefa")
    assert "1 refused: «n»: falta este campo obligatorio." in capsys.readouterr().out


@pytest.mark.parametrize(("user", "told"), [(["--user", "nadie"], "no user"), ([], "Give the username")])
def test_without_a_user_who_is_known_nothing_is_done(make_letter: MakeLetter, user: list[str], told: str) -> None:
    make_letter()
    with pytest.raises(CommandError, match=told):
        run(*user)
    assert not OutboxMessage.objects.exists()


def test_no_personal_data_reaches_the_log(make_letter: MakeLetter, caplog: pytest.LogCaptureFixture) -> None:
    letter = make_letter(changed(make_letter(), name=RUT).encode())
    bad = make_letter(changed(letter, n=RUT).encode())
    with caplog.at_level(logging.DEBUG):
        actions.replay(letter.pk, by=STAFF)
        with pytest.raises(NotReplayable) as refused:
            actions.replay(bad.pk, by=STAFF)
    assert RUT not in caplog.text + str(refused.value)


def test_the_database_itself_refuses_a_resolution_without_a_moment(make_letter: MakeLetter) -> None:
    letter = make_letter()
    with pytest.raises(IntegrityError, match="dead_letter_resolved_once"):
        DeadLetter.objects.filter(pk=letter.pk).update(state="replayed")
