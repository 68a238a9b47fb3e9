"""`manage.py replay_dead_letters`."""

import json
from datetime import timedelta
from io import StringIO
from pathlib import Path

import pytest
from django.contrib.admin.models import LogEntry
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from kafka_bridge.models import DeadLetter, OutboxMessage
from tests.support.letters import MakeLetter, payload_with


def run(*arguments: str) -> str:
    out = StringIO()
    call_command("replay_dead_letters", *arguments, stdout=out, stderr=StringIO())
    return out.getvalue()


def test_it_replays_the_chosen(make_letter: MakeLetter, staff: Client) -> None:
    letters = [make_letter() for _ in range(4)]
    make_letter(consumer="retirado")
    own = ("--consumer", letters[0].consumer)
    assert "4 of 4 open dead letters would be replayed" in run(*own, "--dry-run")
    assert not OutboxMessage.objects.exists()
    assert "1 of 1" in run("--ids", str(letters[0].pk), "--user", "jefa")
    assert "3 of 3" in run("--type", letters[0].event_type, "--reason", "handler", *own, "--user", "jefa")
    assert "0 of 0" in run("--reason", "schema", "--user", "jefa")
    assert LogEntry.objects.count() == 4


def test_it_chooses_by_age(make_letter: MakeLetter, staff: Client) -> None:
    old, new = make_letter(), make_letter()
    DeadLetter.objects.filter(pk=old.pk).update(created_at=timezone.now() - timedelta(days=3))
    assert "1 of 1" in run("--older-than", "2d", "--user", "jefa")
    assert list(DeadLetter.objects.filter(state="open")) == [new]
    assert "0 of 0" in run("--older-than", "30m", "--dry-run")
    assert "1 of 1" in run("--newer-than", "12h", "--dry-run")
    with pytest.raises(CommandError, match="30m, 12h or 7d"):
        run("--newer-than", "ayer")


def test_it_discards_with_a_reason(make_letter: MakeLetter, staff: Client) -> None:
    letter = make_letter()
    assert "1 of 1 open dead letters discarded" in run("--discard", "era una prueba", "--user", "jefa")
    letter.refresh_from_db()
    assert (letter.state, letter.discard_reason, letter.resolved_by) == ("discarded", "era una prueba", "jefa")
    assert LogEntry.objects.get().get_change_message() == "Descartado, con un motivo."
    with pytest.raises(CommandError, match="takes a reason"):
        run("--discard", " ", "--user", "jefa")


def test_it_takes_a_correction_from_a_file(make_letter: MakeLetter, staff: Client, tmp_path: Path) -> None:
    letter, other = make_letter(b"{", headers=[], event_type=""), make_letter()
    file = tmp_path / "corrected.json"
    file.write_text(payload_with(other, n="no number"))
    arguments = ["--ids", str(letter.pk), "--correction", str(file), "--as-type", other.event_type, "--user", "jefa"]
    with pytest.raises(CommandError, match="«n»: se esperaba un número entero"):
        run(*arguments)
    file.write_text(payload_with(other, n=99))
    assert "1 dead letter corrected and replayed" in run(*arguments)
    assert json.loads(bytes(OutboxMessage.objects.get().value))["n"] == 99
    assert "Corregido y reenviado." in LogEntry.objects.get().get_change_message()
    with pytest.raises(CommandError, match="reenviado por jefa"):
        run(*arguments)
    with pytest.raises(CommandError, match="for one dead letter"):
        run("--correction", str(file), "--user", "jefa")


def test_it_fails_if_some_do_not_fit(
    make_letter: MakeLetter, staff: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    make_letter(b"{}")
    with pytest.raises(CommandError, match="1 stay open"):
        call_command("replay_dead_letters", "--user", "jefa")
    assert "1 refused: «n»: falta este campo obligatorio." in capsys.readouterr().out


@pytest.mark.parametrize(("user", "told"), [(["--user", "nadie"], "no user"), ([], "Give the username")])
def test_it_needs_a_known_user(make_letter: MakeLetter, user: list[str], told: str) -> None:
    make_letter()
    with pytest.raises(CommandError, match=told):
        run(*user)
    assert not OutboxMessage.objects.exists()
