"""Permissions of the admin of dead letters."""

import pytest
from django.test import Client

from kafka_bridge.models import DeadLetter
from tests.support.letters import LIST_URL, MakeLetter, client_with, url_of


@pytest.mark.parametrize(
    ("permissions", "replays", "discards"),
    [
        (["view_deadletter"], 403, 403),
        (["view_deadletter", "replay_deadletter"], 200, 403),
        (["view_deadletter", "discard_deadletter"], 403, 200),
        (["replay_deadletter", "discard_deadletter"], 403, 403),  # correcting shows the payload
    ],
)
def test_each_action_needs_its_permission(
    make_letter: MakeLetter, permissions: list[str], replays: int, discards: int
) -> None:
    letter, client = make_letter(), client_with(*permissions)
    assert client.get(url_of(letter, "correct_and_replay")).status_code == replays
    assert client.get(url_of(letter, "discard_one")).status_code == discards
    for name, status in (("replay_selected", replays), ("discard_selected", discards)):
        form = {"action": name, "_selected_action": letter.pk, "confirmed": "1", "reason": "no"}
        client.post(LIST_URL, form)
        letter.refresh_from_db()
        assert (letter.state != "open") == (status == 200)
        DeadLetter.objects.update(state="open", resolved_at=None)


def test_viewing_needs_a_permission(make_letter: MakeLetter) -> None:
    letter, client = make_letter(), client_with()
    assert client.get(url_of(letter)).status_code == 403
    assert client.get(LIST_URL).status_code == 403


def test_even_superusers_cannot_edit_rows(admin_client: Client, make_letter: MakeLetter) -> None:
    letter = make_letter()
    assert admin_client.get(f"{LIST_URL}add/").status_code == 403
    assert admin_client.post(url_of(letter, "delete"), {"post": "yes"}).status_code == 403
    assert admin_client.post(url_of(letter), {"state": "discarded"}).status_code == 403
