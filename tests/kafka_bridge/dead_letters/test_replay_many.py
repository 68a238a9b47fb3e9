"""Replay many dead letters in chunks."""

from itertools import pairwise

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from kafka_bridge.dead_letters import actions, reading
from kafka_bridge.models import DeadLetter, OutboxMessage
from tests.support.letters import STAFF, MakeLetter, in_threads


def test_concurrent_replays_publish_once(make_letter: MakeLetter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(actions, "CHUNK", 10)
    for _ in range(60):
        make_letter()
    summaries = in_threads(3, lambda: actions.replay_all(DeadLetter.objects.all(), by=STAFF))
    assert sum(summary.done for summary in summaries if isinstance(summary, actions.Summary)) == 60
    ids = list(OutboxMessage.objects.values_list("event_id", flat=True))
    assert len(ids) == len(set(ids)) == 60


def test_unfit_letters_stay_open(make_letter: MakeLetter) -> None:
    good = [make_letter() for _ in range(3)]
    bad = [make_letter(b"{}", reason="schema") for _ in range(2)]
    summary = actions.replay_all(DeadLetter.objects.all(), by=STAFF)
    assert (summary.done, summary.refused.total(), summary.left) == (3, 2, 0)
    assert set(DeadLetter.objects.filter(state="open")) == set(bad)
    assert OutboxMessage.objects.count() == len(good)


def test_chunks_take_few_queries(make_letter: MakeLetter, monkeypatch: pytest.MonkeyPatch) -> None:
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
    sizes = [len(make_letter().value or b"") for _ in range(9)]
    ends: list[int] = []
    actions.replay_all(DeadLetter.objects.all(), by=STAFF, progress=lambda done, _of: ends.append(done))
    assert len(ends) > 1
    assert all(sum(sizes[start:end]) <= 500 for start, end in pairwise([0, *ends]))
    assert ends[-1] == 9
    sent = OutboxMessage.objects.order_by("id").values_list("event_id", flat=True)
    assert list(sent) == [reading.event_id(letter) for letter in DeadLetter.objects.order_by("pk")]


def test_it_stops_when_the_time_is_up(make_letter: MakeLetter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(actions, "CHUNK", 10)
    for _ in range(30):
        make_letter()
    summary = actions.replay_all(DeadLetter.objects.all(), by=STAFF, seconds=0)
    assert (summary.done, summary.left) == (10, 20)
    assert actions.replay_all(DeadLetter.objects.all(), by=STAFF).done == 20
