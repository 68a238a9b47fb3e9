"""The runner's promises: counted once, poison isolated, outages waited out (design: promises 2 and 3)."""

from collections.abc import Callable

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient
from django.db import connection

from deploy.embedded.waiting import wait_until
from kafka_bridge import batch, broker
from kafka_bridge import runner as runner_module
from kafka_bridge.batch import Batch, FailureLimit, Fenced, Record, TooManyDeadLetters
from kafka_bridge.models import ConsumerOffset, DeadLetter
from kafka_bridge.runner import Runner
from tests.kafka_bridge.conftest import SECONDS, Bench, is_there


def poll_until_records(runner: Runner) -> list[Record]:
    """Joins the group by hand and returns the first batch, not applied."""
    runner.kafka.subscribe(list(runner.topics), on_assign=runner._on_assign, on_revoke=runner._on_revoke)
    found: list[Record] = []

    def step() -> bool:
        runner._position()
        found.extend(runner._poll())
        return bool(found)

    wait_until(step, SECONDS)
    return found


def test_every_event_becomes_a_row_and_the_offset_row_says_so(bench: Bench) -> None:
    bench.publish(*range(100))
    with bench.running(bench.runner()):
        wait_until(lambda: len(bench.rows()) == 100, SECONDS)
    ends = broker.end_offsets(broker.partitions_of(bench.topic.name))
    assert bench.offsets() == {partition: end for (_, partition), end in ends.items()}
    assert sorted(bench.rows()) == list(range(100))


def test_events_of_one_key_are_applied_in_their_order(bench: Bench) -> None:
    bench.publish(*range(300), key="one")
    with bench.running(bench.runner()):
        wait_until(lambda: len(bench.rows()) == 300, SECONDS)
    assert bench.rows() == list(range(300))


def test_a_restarted_consumer_goes_on_at_the_databases_offset_whatever_kafka_says(bench: Bench) -> None:
    bench.publish(*range(10), key="one")
    with bench.running(bench.runner()):
        wait_until(lambda: len(bench.rows()) == 10, SECONDS)
    rewound = bench.runner().kafka  # a stranger commits offset 0 in Kafka
    rewound.commit(offsets=[TopicPartition(bench.topic.name, p, 0) for p in (0, 1)], asynchronous=False)
    rewound.close()
    bench.publish(10, key="one")
    with bench.running(bench.runner()):
        wait_until(lambda: 10 in bench.rows(), SECONDS)
    assert bench.rows() == list(range(11))


def test_a_redelivered_batch_is_fenced_and_leaves_no_second_row(bench: Bench) -> None:
    bench.publish(1, 2, 3, key="one")
    runner = bench.runner()
    records = poll_until_records(runner)
    held = dict(runner.held)
    assert runner._apply(records)
    with pytest.raises(Fenced):
        Batch(bench.consumer, records, limit=FailureLimit(), patient=True).apply(held, runner.topic_uuids, [])
    assert sorted(bench.rows()) == [1, 2, 3]
    runner.kafka.close()


def test_two_members_that_hold_the_same_partition_apply_each_event_once(bench: Bench) -> None:
    bench.publish(*range(50))
    runners = [bench.runner(group=f"{bench.consumer.name}-{name}") for name in "ab"]  # two groups: each gets everything
    with bench.running(*runners):
        wait_until(lambda: len(bench.rows()) >= 50, SECONDS)
        for n in range(50, 150):
            bench.publish(n)
        wait_until(lambda: len(bench.rows()) >= 150, SECONDS)
    assert sorted(bench.rows()) == list(range(150))


def test_a_failing_message_becomes_one_dead_letter_and_the_others_rows(bench: Bench) -> None:
    bench.poison = {7, 42}
    bench.publish(*range(100), key="one")
    with bench.running(bench.runner()):
        wait_until(lambda: len(bench.rows()) == 98, SECONDS)
    assert bench.rows() == [n for n in range(100) if n not in bench.poison]
    letters = DeadLetter.objects.order_by("offset")
    assert [letter.offset for letter in letters] == [7, 42]
    assert letters[0].error.startswith("ValueError in handle, conftest.py:")  # where, but not what: that may be a RUT
    assert "handle" in letters[0].traceback
    assert letters[0].value


def test_a_foreign_key_that_fails_only_at_commit_is_found(bench: Bench) -> None:
    bench.orphans = {13}
    bench.publish(*range(100), key="one")
    with bench.running(bench.runner()):
        wait_until(lambda: len(bench.rows()) == 99, SECONDS)
    letter = DeadLetter.objects.get()
    assert letter.error.startswith("IntegrityError 23503 bench_row_parent_fkey")
    assert bench.attempts <= 20  # O(log n)


@pytest.mark.parametrize(
    ("value", "event_type", "reason"),
    [
        (b"\xff\x00 no json", None, "undecodable"),
        (b"{}", None, "schema"),
        (b"{}", b"mamochi.nada.nunca.v9", "unknown_type"),
        (b"{}", b"", "unknown_type"),
        (None, None, "undecodable"),
    ],
)
def test_what_is_no_event_becomes_a_dead_letter_with_its_reason(
    bench: Bench, value: bytes | None, event_type: bytes | None, reason: str
) -> None:
    declared = bench.event.type.encode()
    bench.send_raw(value, [("ce_type", declared if event_type is None else event_type)])
    bench.publish(1)
    with bench.running(bench.runner()):
        wait_until(lambda: bench.rows() == [1] and DeadLetter.objects.exists(), SECONDS)
    assert DeadLetter.objects.get().reason == reason


def test_when_everything_fails_the_consumer_stops_and_sets_nothing_aside(bench: Bench) -> None:
    bench.poison = set(range(400))
    bench.publish(*range(400), key="one")
    with pytest.raises(TooManyDeadLetters, match="in a row"):
        bench.runner().run()
    assert not DeadLetter.objects.exists()
    assert not bench.rows()
    assert set(bench.offsets().values()) == {0}


def test_a_lost_database_connection_is_waited_out(bench: Bench) -> None:
    bench.publish(1)
    with bench.running(bench.runner()):
        wait_until(lambda: bench.rows() == [1], SECONDS)
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE pid <> pg_backend_pid() AND datname = current_database()"
            )
        bench.publish(2)
        wait_until(lambda: len(bench.rows()) == 2, SECONDS)
    assert bench.rows() == [1, 2]
    assert not DeadLetter.objects.exists()


def test_a_batch_that_outlasts_its_transaction_is_made_smaller(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "TRANSACTION_TIMEOUT_MS", 1_500)
    bench.slow = {2, 5}
    bench.publish(*range(8), key="one")
    with bench.running(bench.runner()):
        wait_until(lambda: len(bench.rows()) == 8, 2 * SECONDS)
    assert bench.rows() == list(range(8))
    assert not DeadLetter.objects.exists()


def test_a_message_that_always_outlasts_its_transaction_is_a_dead_letter(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "TRANSACTION_TIMEOUT_MS", 500)
    monkeypatch.setattr(runner_module, "PATIENT_ATTEMPTS", 2)
    bench.slow = {1}
    bench.publish(*range(4), key="one")
    with bench.running(bench.runner()):
        wait_until(lambda: len(bench.rows()) == 3, 2 * SECONDS)
    assert bench.rows() == [0, 2, 3]
    assert "25P04" in DeadLetter.objects.get().error


def test_a_topic_made_anew_is_noticed_and_read_from_its_beginning(bench: Bench) -> None:
    bench.publish(1, 2, 3, key="one")
    with bench.running(bench.runner()):
        wait_until(lambda: len(bench.rows()) == 3, SECONDS)
    remake(bench)
    bench.publish(*range(10, 20), key="one")
    with bench.running(bench.runner()):
        wait_until(lambda: len(bench.rows()) == 13, SECONDS)
    assert bench.rows() == [1, 2, 3, *range(10, 20)]


def remake(bench: Bench) -> None:
    admin: AdminClient = broker.admin()
    before = broker.topic_uuids([bench.topic.name])
    admin.delete_topics([bench.topic.name])[bench.topic.name].result()
    wait_until(lambda: bench.topic.name not in admin.list_topics(timeout=5).topics, SECONDS)
    broker.create_topics([bench.topic])
    wait_until(lambda: is_there(bench.topic) and broker.topic_uuids([bench.topic.name]) != before, SECONDS)


def test_each_lane_applies_its_own_partition_and_no_other(make_bench: Callable[..., Bench], table: None) -> None:
    bench = make_bench(partitions=3, lane="paid")
    from kafka_bridge import producer

    events = [bench.event.now(id=bench.event.derive_id(n), n=n, name=str(n), urgent=n < 5) for n in range(40)]
    producer.publish(*events)
    with bench.running(bench.runner(lane="paid")):
        wait_until(lambda: len(bench.rows()) >= 5, SECONDS)
    assert bench.rows() == [0, 1, 2, 3, 4]
    assert broker.end_offsets([(bench.topic.name, 0)]) == {(bench.topic.name, 0): 5}
    with bench.running(bench.runner()):
        wait_until(lambda: len(bench.rows()) >= 40, SECONDS)
    assert sorted(bench.rows()) == list(range(40))
    assert ConsumerOffset.objects.filter(consumer=bench.consumer.name).count() == 3
