"""The relay: in order within a key, past partitions out of reach, woken by commits."""

import threading

import msgspec
import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from deploy.embedded.waiting import wait_until
from kafka_bridge.events.codec import Message, encode
from kafka_bridge.models import OutboxMessage
from kafka_bridge.publishing import outbox, relay
from kafka_bridge.publishing.relay import Progress
from kafka_bridge.telemetry.pulse import pulses
from tests.support.consumers import readiness, running
from tests.support.sandbox import SECONDS, Sandbox
from tests.support.topics import topic_numbers

pytestmark = pytest.mark.django_db(transaction=True)

OWN_LOCK = 7_140_233  # of a test


def test_a_lost_partition_delays_no_other(sandbox: Sandbox) -> None:
    outbox.add_messages([to_a_missing_partition(sandbox, n) for n in range(20)])
    outbox.add(*[sandbox.happened(n) for n in range(100, 120)])
    wait_until(lambda: not relay.step() and OutboxMessage.objects.count() == 20, SECONDS)
    assert sorted(topic_numbers(sandbox)) == list(range(100, 120))
    sandbox.publish(200)
    assert OutboxMessage.objects.count() == 20


def to_a_missing_partition(sandbox: Sandbox, n: int) -> Message:
    """Return a message as of a partition that lost all its replicas: nothing acknowledges it."""
    return msgspec.structs.replace(encode(sandbox.happened(n)), partition=7)


def test_relay_says_what_it_cannot_send(sandbox: Sandbox) -> None:
    pulses.clear()
    outbox.add_messages([to_a_missing_partition(sandbox, 1)])
    with running(relay.run):
        wait_until(lambda: readiness()[0] == 503 and f"{sandbox.topic.name}[7]" in readiness()[1], SECONDS)
        OutboxMessage.objects.all().delete()  # as a person would, or another relay that can send it
        wait_until(lambda: readiness() == (200, ""), SECONDS)


def test_several_relays_keep_the_order_per_key(sandbox: Sandbox) -> None:
    for start in range(0, 600, 50):
        outbox.add(*[sandbox.happened(n, key=str(n % 5)) for n in range(start, start + 50)])
    with running(relay.run, relay.run, relay.run):
        wait_until(lambda: not OutboxMessage.objects.exists(), SECONDS)
    numbers = topic_numbers(sandbox)
    assert len(numbers) == 600
    for key in range(5):
        assert [n for n in numbers if n % 5 == key] == list(range(key, 600, 5))


def test_waiting_for_kafka_outlasts_a_limit_on_idle_transactions() -> None:
    """A server may end idle transactions soon: each round would send the same messages again."""
    with connection.cursor() as cursor:
        with transaction.atomic():
            relay._take([0])
            cursor.execute("SHOW idle_in_transaction_session_timeout")
            assert cursor.fetchone() == ("23s",)
        cursor.execute("SHOW idle_in_transaction_session_timeout")
        assert cursor.fetchone() == ("0",)


@pytest.mark.parametrize("busy", [False, True], ids=["which waits", "which does something else"])
def test_a_commit_wakes_the_relay(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, busy: bool) -> None:
    monkeypatch.setattr(relay, "POLL_SECONDS", 3 * SECONDS)  # only the notification can be in time
    listening, committed = threading.Event(), threading.Event()

    def listen_and_wait() -> None:
        relay.step()
        listening.set()
        if busy:
            committed.wait(SECONDS)
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1")  # its answer brings the notification
        relay.wait_for_news()
        connection.close()

    thread = threading.Thread(target=listen_and_wait)
    thread.start()
    listening.wait(SECONDS)
    outbox.add(sandbox.happened(1))
    committed.set()
    thread.join(SECONDS)
    assert not thread.is_alive()


def test_a_commit_during_the_first_look_wakes_the_relay(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a new connection: the look is too early to find the message, so its news must arrive."""
    monkeypatch.setattr(relay, "POLL_SECONDS", 3 * SECONDS)  # only the notification can be in time
    slow = f"generate_series(0, %s + (SELECT length(pg_advisory_xact_lock_shared({OWN_LOCK})::text)))"
    assert "generate_series(0, %s)" in relay._LISTEN_AND_LOOK
    monkeypatch.setattr(relay, "_LISTEN_AND_LOOK", relay._LISTEN_AND_LOOK.replace("generate_series(0, %s)", slow))
    found: list[Progress] = []

    def look_and_wait() -> None:
        found.append(relay.step())
        relay.wait_for_news()
        connection.close()

    thread = threading.Thread(target=look_and_wait)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", [OWN_LOCK])
        thread.start()
        wait_until(lambda: waits_for_lock(OWN_LOCK), SECONDS)
        outbox.add(sandbox.happened(1))
        cursor.execute("SELECT pg_advisory_unlock(%s)", [OWN_LOCK])
    thread.join(SECONDS)
    assert found == [Progress.NOTHING], "the look began before the message was there"
    assert not thread.is_alive()


def waits_for_lock(number: int) -> bool:
    """Return whether a session waits for this advisory lock, of one key of 64 bits."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT FROM pg_locks WHERE objid = %s AND objsubid = 1 AND NOT granted", [number])
        return cursor.fetchone() is not None


def test_few_messages_of_many_shards_leave_in_one_transaction(sandbox: Sandbox) -> None:
    outbox.add(*[sandbox.happened(n) for n in range(20)])
    assert OutboxMessage.objects.values("shard").distinct().count() > 5
    with CaptureQueriesContext(connection) as queries:
        assert relay.step() is Progress.ALL
    assert sum(query["sql"].startswith("DELETE") for query in queries) == 1
    assert sorted(topic_numbers(sandbox)) == list(range(20))


def test_shards_of_a_backlog_leave_in_order_and_without_pauses(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "MESSAGES_PER_ROUND", 10)
    monkeypatch.setattr(relay, "GATHER_SECONDS", 10 * SECONDS)
    outbox.add(*[sandbox.happened(n, key=str(n % 4)) for n in range(400)])
    with running(relay.run):
        wait_until(lambda: not OutboxMessage.objects.exists(), SECONDS)
    numbers = topic_numbers(sandbox)
    for key in range(4):
        assert [n for n in numbers if n % 4 == key] == list(range(key, 400, 4))


def test_shards_share_a_transaction_while_there_is_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "MESSAGES_PER_ROUND", 10)
    waiting = [(7, 2), (1, 8), (3, 1), (2, 10), (0, 1)]
    assert relay._together(waiting) == [[7, 1], [3], [2], [0]]


def test_commits_in_a_burst_leave_in_few_rounds(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "GATHER_SECONDS", 1.0)
    rounds: list[Progress] = []
    step = relay.step

    def counted() -> Progress:
        rounds.append(step())
        return rounds[-1]

    monkeypatch.setattr(relay, "step", counted)
    with running(relay.run):
        for n in range(50):
            outbox.add(sandbox.happened(n))
        wait_until(lambda: not OutboxMessage.objects.exists(), SECONDS)
    assert len(topic_numbers(sandbox)) == 50
    assert rounds.count(Progress.ALL) <= 20


def test_a_message_that_finds_the_relay_idle_leaves_at_once(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pause after it ends when the relay stops."""
    pulses.clear()
    monkeypatch.setattr(relay, "GATHER_SECONDS", 10 * SECONDS)
    with running(relay.run):
        outbox.add(sandbox.happened(1))
        wait_until(lambda: not OutboxMessage.objects.exists(), SECONDS)
    assert "relay" not in pulses, "the relay has not ended"
