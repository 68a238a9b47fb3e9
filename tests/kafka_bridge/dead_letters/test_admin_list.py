"""The list of dead letters in the admin."""

from datetime import timedelta

from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from kafka_bridge.dead_letters import actions, reading
from kafka_bridge.models import DeadLetter
from tests.support.letters import LIST_URL, STAFF, MakeLetter


def test_it_shows_open_ones_and_filters(staff: Client, make_letter: MakeLetter) -> None:
    old, new, done = make_letter(), make_letter(reason="schema"), make_letter()
    DeadLetter.objects.filter(pk=old.pk).update(created_at=timezone.now() - timedelta(days=3))
    actions.discard_all(DeadLetter.objects.filter(pk=done.pk), by=STAFF, reason="no")

    def shown(**query: str) -> set[DeadLetter]:
        return set(staff.get(LIST_URL, query).context["cl"].result_list)

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
    assert shown(q=f"\u202a{reading.event_id(old)}\u202c") == {old}
    assert shown(q=f" \u200b{new.offset}\xa0") == {new}
    assert shown(q="nada de eso") == set()


def test_it_takes_no_query_per_row(staff: Client, make_letter: MakeLetter) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            staff.get(LIST_URL)
        return len(captured)

    make_letter()
    staff.get(LIST_URL)
    one = queries()
    for _ in range(20):
        make_letter()
    assert queries() == one
