"""Outages are waited out; an error that looks like one while all servers answer is poison."""

from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, Message, TopicPartition
from django.db import connection

from deploy.embedded.waiting import wait_until
from kafka_bridge import exceptions
from kafka_bridge.brokers import client
from kafka_bridge.consuming import batch
from kafka_bridge.consuming import runner as runner_module
from kafka_bridge.models import ConsumerOffset, DeadLetter
from tests.support.sandbox import SECONDS, Sandbox, replace_methods


def test_a_lost_connection_is_waited_out(sandbox: Sandbox) -> None:
    sandbox.publish(1)
    with sandbox.running():
        wait_until(lambda: sandbox.rows() == [1], SECONDS)
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE pid <> pg_backend_pid() AND datname = current_database()"
            )
        sandbox.publish(2)
        wait_until(lambda: len(sandbox.rows()) == 2, SECONDS)
    assert sandbox.rows() == [1, 2]
    assert not DeadLetter.objects.exists()


@pytest.mark.slow
def test_a_batch_that_takes_too_long_is_halved(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "TRANSACTION_TIMEOUT_MS", 1_500)
    sandbox.slow = {2: 1, 5: 1}
    sandbox.publish(*range(8), key="one")
    with sandbox.running():
        wait_until(lambda: len(sandbox.rows()) == 8, 2 * SECONDS)
    assert sandbox.rows() == list(range(8))
    assert not DeadLetter.objects.exists()


@pytest.mark.slow
def test_a_message_that_takes_too_long_is_dead(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "TRANSACTION_TIMEOUT_MS", 500)
    monkeypatch.setattr(runner_module, "PATIENT_ATTEMPTS", 2)
    sandbox.slow = {1: 1}
    sandbox.publish(*range(4), key="one")
    with sandbox.running():
        wait_until(lambda: len(sandbox.rows()) == 3, 2 * SECONDS)
    assert sandbox.rows() == [0, 2, 3]
    # PostgreSQL's transaction_timeout; before 17 its statement_timeout, or our own.
    assert DeadLetter.objects.get().error.rstrip() in (
        "InternalError 25P04",
        "OperationalError 57014",
        "OperationalError",
    )


def end_the_connection() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")


def update_no_row() -> None:
    ConsumerOffset(pk=-1).save(update_fields=["next_offset"])


def use_a_closed_cursor() -> None:
    with connection.cursor() as cursor:
        pass
    cursor.execute("SELECT 1")


def fail_in_kafka() -> None:
    raise KafkaException(KafkaError(KafkaError._TIMED_OUT))


@pytest.mark.parametrize(
    ("fail", "error"),
    [
        pytest.param(end_the_connection, "OperationalError 57P01", marks=pytest.mark.slow),
        (update_no_row, "DatabaseError in "),
        (use_a_closed_cursor, "InterfaceError"),
        (fail_in_kafka, "KafkaException"),
    ],
)
def test_poison_may_look_like_an_outage(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, fail: Callable[[], None], error: str
) -> None:
    monkeypatch.setattr(runner_module, "PATIENT_ATTEMPTS", 2)
    fail_at(sandbox, 3, fail)
    sandbox.publish(*range(8), key="one")
    with sandbox.running():
        wait_until(lambda: len(sandbox.rows()) == 7, SECONDS)
    assert sandbox.rows() == [0, 1, 2, 4, 5, 6, 7]
    assert DeadLetter.objects.get().error.startswith(error)


@pytest.mark.parametrize(
    "error",
    [
        exceptions.Unavailable("both down"),
        exceptions.KafkaUnavailable("no broker answers"),
        KafkaException(KafkaError(KafkaError._ALL_BROKERS_DOWN)),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_long_outage_is_waited_out(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """Kafka is away for as long as the handler fails."""
    monkeypatch.setattr(runner_module, "PATIENT_ATTEMPTS", 2)
    monkeypatch.setattr(runner_module, "LONGEST_BACKOFF", 0.1)
    left = [error] * 10
    monkeypatch.setattr(client, "answers", lambda timeout: not left)

    def fail() -> None:
        if left:
            raise left.pop()

    fail_at(sandbox, 1, fail)
    sandbox.publish(*range(3), key="one")
    with sandbox.running():
        wait_until(lambda: len(sandbox.rows()) == 3, SECONDS)
    assert sandbox.rows() == [0, 1, 2]
    assert not DeadLetter.objects.exists()


TROUBLE = """
    CREATE FUNCTION is_in_trouble() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        RAISE 'could not extend file' USING ERRCODE = '{state}';
    END $$;
    CREATE TRIGGER trouble BEFORE INSERT ON sandbox_row EXECUTE FUNCTION is_in_trouble()"""


@pytest.mark.parametrize(
    "state",
    [
        "53100",  # disk full
        pytest.param("53200", marks=pytest.mark.slow),  # out of memory
        pytest.param("58030", marks=pytest.mark.slow),  # I/O error
        "42501",  # the file system was remounted read-only
        pytest.param("XX001", marks=pytest.mark.slow),  # a damaged page
    ],
)
def test_trouble_of_the_server_accuses_no_message(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    """The server takes no rows, and takes dead letters and offsets."""
    monkeypatch.setattr(runner_module, "PATIENT_ATTEMPTS", 2)
    monkeypatch.setattr(runner_module, "LONGEST_BACKOFF", 0.1)
    with connection.cursor() as cursor:
        cursor.execute(TROUBLE.format(state=state))
    try:
        sandbox.publish(*range(3), key="one")
        with sandbox.running():
            wait_until(lambda: sandbox.attempts >= 10, SECONDS)
            assert not DeadLetter.objects.exists()
            with connection.cursor() as cursor:
                cursor.execute("DROP TRIGGER trouble ON sandbox_row")
            wait_until(lambda: len(sandbox.rows()) == 3, SECONDS)
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP FUNCTION is_in_trouble CASCADE")
    assert not DeadLetter.objects.exists()


def fail_at(sandbox: Sandbox, number: int, fail: Callable[[], None]) -> None:
    """Let the handler call `fail` at the event with that number."""

    def handle(events: list[Any]) -> None:
        sandbox.handle(events)
        for event in events:
            if event.n == number:
                fail()

    sandbox.consumer.handlers[sandbox.event] = handle


def test_an_error_during_the_wait_is_kept(sandbox: Sandbox) -> None:
    sandbox.publish(1, 2, 3, key="one")
    runner = sandbox.runner()
    sandbox.poll(runner)
    at = (sandbox.topic.name, sandbox.topic.partition_for("one", priority=False))
    client.admin().delete_records([TopicPartition(*at, 3)])[TopicPartition(*at)].result()
    runner.kafka.seek(TopicPartition(*at, 0))  # which Kafka no longer has
    polled: list[Message | None] = []

    def message_came() -> bool:
        polled.append(runner.kafka.poll(0.1))
        return polled[-1] is not None

    wait_until(message_came, SECONDS)
    stray = polled[-1]
    replace_methods(runner, poll=lambda _seconds: stray)
    runner.wait_out(KafkaException(KafkaError(KafkaError._TIMED_OUT)), attempt=1)
    assert stray is not None
    assert stray.error() is not None
    assert at in runner.partitions.unpositioned
    runner.kafka.close()


@pytest.mark.slow
def test_partitions_lent_in_an_outage_are_read(sandbox: Sandbox) -> None:
    """A member that waits out an outage gives partitions to another one, and gets them back."""
    lender, borrower = sandbox.runner(), sandbox.runner()
    all_of_them = sandbox.topic.partitions
    lender.subscribe()
    wait_until(lambda: not lender.step() and len(lender.partitions.held) == all_of_them, SECONDS)
    outage = KafkaException(KafkaError(KafkaError._TIMED_OUT))

    def lends() -> bool:
        lender.wait_out(outage, attempt=1)
        return bool(borrower.partitions.held)

    with sandbox.running(borrower):
        wait_until(lends, SECONDS)
    assert 0 < len(lender.partitions.held) < all_of_them
    wait_until(lambda: not lender.step() and len(lender.partitions.held) == all_of_them, SECONDS)
    sandbox.publish(*range(30))
    wait_until(lambda: not lender.step() and len(sandbox.rows()) == 30, SECONDS)
    lender.kafka.close()
