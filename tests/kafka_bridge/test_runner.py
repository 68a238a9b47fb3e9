"""The runner's promises: counted once, poison isolated, outages waited out (design: promises 2 and 3)."""

import ctypes
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer as KafkaConsumer
from confluent_kafka import KafkaError, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from deploy.embedded.waiting import wait_until
from kafka_bridge import exceptions
from kafka_bridge.brokers import client as broker_client
from kafka_bridge.brokers import reader, topic_admin, watermarks
from kafka_bridge.consuming import batch, positions
from kafka_bridge.consuming import runner as runner_module
from kafka_bridge.consuming.batch import Batch
from kafka_bridge.consuming.handlers import consumers
from kafka_bridge.consuming.limits import FailureLimit, GroupSize
from kafka_bridge.consuming.record import REPLAY_HEADER, Record
from kafka_bridge.consuming.runner import Runner
from kafka_bridge.dead_letters import explain
from kafka_bridge.events.codec import encode
from kafka_bridge.exceptions import Fenced, TooManyDeadLetters
from kafka_bridge.models import ConsumerOffset, DeadLetter
from kafka_bridge.monitoring.lookup import kafka as lookup_kafka
from kafka_bridge.publishing import producer
from tests.support.sandbox import SECONDS, Sandbox, is_there


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


def one_batch(sandbox: Sandbox, records: list[Record]) -> Batch:
    return Batch(sandbox.consumer, records, limit=FailureLimit(), group_size=GroupSize(len(records)), patient=True)


def test_every_event_becomes_a_row_and_the_offset_row_says_so(sandbox: Sandbox) -> None:
    sandbox.publish(*range(100))
    with sandbox.running(sandbox.runner()):
        wait_until(lambda: len(sandbox.rows()) == 100, SECONDS)
    ends = watermarks.end_offsets(topic_admin.partitions_of(sandbox.topic.name))
    assert sandbox.offsets() == {partition: end for (_, partition), end in ends.items()}
    assert sorted(sandbox.rows()) == list(range(100))


def test_events_of_one_key_are_applied_in_their_order(sandbox: Sandbox) -> None:
    sandbox.publish(*range(300), key="one")
    with sandbox.running(sandbox.runner()):
        wait_until(lambda: len(sandbox.rows()) == 300, SECONDS)
    assert sandbox.rows() == list(range(300))


def test_a_restarted_consumer_goes_on_at_the_databases_offset_whatever_kafka_says(sandbox: Sandbox) -> None:
    sandbox.publish(*range(10), key="one")
    with sandbox.running(sandbox.runner()):
        wait_until(lambda: len(sandbox.rows()) == 10, SECONDS)
    rewound = sandbox.runner().kafka  # a stranger commits offset 0 in Kafka
    rewound.commit(offsets=[TopicPartition(sandbox.topic.name, p, 0) for p in (0, 1)], asynchronous=False)
    rewound.close()
    sandbox.publish(10, key="one")
    with sandbox.running(sandbox.runner()):
        wait_until(lambda: 10 in sandbox.rows(), SECONDS)
    assert sandbox.rows() == list(range(11))


def test_a_redelivered_batch_is_fenced_and_leaves_no_second_row(sandbox: Sandbox) -> None:
    sandbox.publish(1, 2, 3, key="one")
    runner = sandbox.runner()
    records = poll_until_records(runner)
    held = dict(runner.held)
    assert runner._apply(records)
    with pytest.raises(Fenced):
        one_batch(sandbox, records).apply(held, runner.topic_uuids, [])
    assert sorted(sandbox.rows()) == [1, 2, 3]
    runner.kafka.close()


def test_two_members_that_hold_the_same_partition_apply_each_event_once(sandbox: Sandbox) -> None:
    sandbox.publish(*range(50))
    runners = [
        sandbox.runner(group=f"{sandbox.consumer.name}-{name}") for name in "ab"
    ]  # two groups: each gets everything
    with sandbox.running(*runners):
        wait_until(lambda: len(sandbox.rows()) >= 50, SECONDS)
        for n in range(50, 150):
            sandbox.publish(n)
        wait_until(lambda: len(sandbox.rows()) >= 150, SECONDS)
    assert sorted(sandbox.rows()) == list(range(150))


def test_a_failing_message_becomes_one_dead_letter_and_the_others_rows(sandbox: Sandbox) -> None:
    sandbox.poison = {7, 42}
    sandbox.publish(*range(100), key="one")
    with sandbox.running(sandbox.runner()):
        wait_until(lambda: len(sandbox.rows()) == 98, SECONDS)
    assert sandbox.rows() == [n for n in range(100) if n not in sandbox.poison]
    letters = DeadLetter.objects.order_by("offset")
    assert [letter.offset for letter in letters] == [7, 42]
    assert letters[0].error.startswith("ValueError in handle, conftest.py:")  # where, but not what: that may be a RUT
    assert "handle" in letters[0].traceback
    assert letters[0].value


def test_a_foreign_key_that_fails_only_at_commit_is_found(sandbox: Sandbox) -> None:
    sandbox.orphans = {13}
    sandbox.publish(*range(100), key="one")
    with sandbox.running(sandbox.runner()):
        wait_until(lambda: len(sandbox.rows()) == 99, SECONDS)
    letter = DeadLetter.objects.get()
    assert letter.error.startswith("IntegrityError 23503 sandbox_row_parent_fkey")
    assert letter.attempts >= 2, "with others, and alone"
    assert sandbox.attempts <= 20  # O(log n)


def test_culprits_that_stand_close_are_looked_for_in_small_groups(sandbox: Sandbox) -> None:
    sandbox.poison = set(range(0, 200, 10))
    sandbox.publish(*range(400), key="one")
    runner = sandbox.runner()
    with sandbox.running(runner):
        wait_until(lambda: len(sandbox.rows()) == 380, SECONDS)
    assert sandbox.rows() == [n for n in range(400) if n not in sandbox.poison]
    assert {letter.offset for letter in DeadLetter.objects.all()} == sandbox.poison
    assert sandbox.attempts <= 20 * 8, "as often as groups of ten need it, not as those of 400 would"
    assert runner.group_size.records > 20, "it grows again where all is well"


def test_the_event_that_a_handler_was_at_is_tried_first(sandbox: Sandbox) -> None:
    sandbox.poison = {300}
    sandbox.publish(*range(400), key="one")
    with sandbox.running(sandbox.runner()):
        wait_until(lambda: len(sandbox.rows()) == 399, SECONDS)
    assert sandbox.attempts <= 5, "all, those before it, it alone, those behind it"
    assert (letter := DeadLetter.objects.get()).offset == 300
    assert letter.attempts == 2


@pytest.mark.parametrize("wrong", [0.0, 0.5, 1.0], ids=["first", "middle", "last"])
def test_a_handler_that_was_at_another_event_costs_attempts_and_no_event(sandbox: Sandbox, wrong: float) -> None:
    def fail_elsewhere(events: list[Any]) -> None:
        sandbox.handle(events)
        guilty = 300 in {event.n for event in events}
        for place, _ in enumerate(events):
            if guilty and place == int(wrong * (len(events) - 1)):
                raise ValueError("300")

    sandbox.consumer.handlers[sandbox.event] = fail_elsewhere
    sandbox.publish(*range(400), key="one")
    with sandbox.running(sandbox.runner()):
        wait_until(lambda: len(sandbox.rows()) == 399, SECONDS)
    assert sandbox.rows() == [n for n in range(400) if n != 300]
    assert DeadLetter.objects.get().offset == 300
    assert sandbox.attempts <= 30  # still O(log n)


@given(st.integers(1, 5_000), st.lists(st.tuples(st.booleans(), st.integers(1, 5_000)), max_size=50))
def test_a_group_is_never_empty_nor_more_than_a_batch(most: int, attempts: list[tuple[bool, int]]) -> None:
    size = GroupSize(most)
    for passed, tried in attempts:
        size.passed(min(tried, size.records)) if passed else size.failed()
        assert 1 <= size.records <= most


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
    sandbox: Sandbox, value: bytes | None, event_type: bytes | None, reason: str
) -> None:
    declared = sandbox.event.type.encode()
    sandbox.send_raw(value, [("ce_type", declared if event_type is None else event_type)])
    sandbox.publish(1)
    with sandbox.running(sandbox.runner()):
        wait_until(lambda: sandbox.rows() == [1] and DeadLetter.objects.exists(), SECONDS)
    assert DeadLetter.objects.get().reason == reason


def test_when_everything_fails_the_consumer_stops_and_sets_nothing_aside(sandbox: Sandbox) -> None:
    sandbox.poison = set(range(400))
    sandbox.publish(*range(400), key="one")
    with pytest.raises(TooManyDeadLetters, match="in a row"):
        sandbox.runner().run()
    assert not DeadLetter.objects.exists()
    assert not sandbox.rows()
    assert set(sandbox.offsets().values()) == {0}


def test_a_lost_database_connection_is_waited_out(sandbox: Sandbox) -> None:
    sandbox.publish(1)
    with sandbox.running(sandbox.runner()):
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


def test_a_batch_that_outlasts_its_transaction_is_made_smaller(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "TRANSACTION_TIMEOUT_MS", 1_500)
    sandbox.slow = {2, 5}
    sandbox.publish(*range(8), key="one")
    with sandbox.running(sandbox.runner()):
        wait_until(lambda: len(sandbox.rows()) == 8, 2 * SECONDS)
    assert sandbox.rows() == list(range(8))
    assert not DeadLetter.objects.exists()


def test_a_message_that_always_outlasts_its_transaction_is_a_dead_letter(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "TRANSACTION_TIMEOUT_MS", 500)
    monkeypatch.setattr(runner_module, "PATIENT_ATTEMPTS", 2)
    sandbox.slow = {1}
    sandbox.publish(*range(4), key="one")
    with sandbox.running(sandbox.runner()):
        wait_until(lambda: len(sandbox.rows()) == 3, 2 * SECONDS)
    assert sandbox.rows() == [0, 2, 3]
    assert "25P04" in DeadLetter.objects.get().error


def test_a_topic_made_anew_is_noticed_and_read_from_its_beginning(sandbox: Sandbox) -> None:
    sandbox.publish(1, 2, 3, key="one")
    with sandbox.running(sandbox.runner()):
        wait_until(lambda: len(sandbox.rows()) == 3, SECONDS)
    remake(sandbox)
    sandbox.publish(*range(10, 20), key="one")
    with sandbox.running(sandbox.runner()):
        wait_until(lambda: len(sandbox.rows()) == 13, SECONDS)
    assert sandbox.rows() == [1, 2, 3, *range(10, 20)]


def remake(sandbox: Sandbox) -> None:
    admin: AdminClient = broker_client.admin()
    before = topic_admin.topic_uuids([sandbox.topic.name])
    admin.delete_topics([sandbox.topic.name])[sandbox.topic.name].result()
    wait_until(lambda: sandbox.topic.name not in admin.list_topics(timeout=5).topics, SECONDS)
    topic_admin.create_topics([sandbox.topic])
    wait_until(lambda: is_there(sandbox.topic) and topic_admin.topic_uuids([sandbox.topic.name]) != before, SECONDS)


def test_each_lane_applies_its_own_partition_and_no_other(make_sandbox: Callable[..., Sandbox], table: None) -> None:
    sandbox = make_sandbox(partitions=3, lane="paid")
    events = [sandbox.event.now(id=sandbox.event.derive_id(n), n=n, name=str(n), urgent=n < 5) for n in range(40)]
    producer.publish(*events)
    with sandbox.running(sandbox.runner(lane="paid")):
        wait_until(lambda: len(sandbox.rows()) >= 5, SECONDS)
    assert sandbox.rows() == [0, 1, 2, 3, 4]
    assert watermarks.end_offsets([(sandbox.topic.name, 0)]) == {(sandbox.topic.name, 0): 5}
    with sandbox.running(sandbox.runner()):
        wait_until(lambda: len(sandbox.rows()) >= 40, SECONDS)
    assert sorted(sandbox.rows()) == list(range(40))
    assert ConsumerOffset.objects.filter(consumer=sandbox.consumer.name).count() == 3


# What no client sends


def send_header_named(sandbox: Sandbox, name: bytes) -> None:
    """Through librdkafka itself: the Python client takes text only."""
    client = ctypes.CDLL(re.findall(r"/\S*librdkafka\S*", Path("/proc/self/maps").read_text())[0])
    client.rd_kafka_conf_new.restype = client.rd_kafka_new.restype = ctypes.c_void_p
    config, error = ctypes.c_void_p(client.rd_kafka_conf_new()), ctypes.create_string_buffer(512)
    servers, size, topic = settings.KAFKA_BOOTSTRAP_SERVERS.encode(), ctypes.c_size_t, sandbox.topic.name.encode()
    client.rd_kafka_conf_set(config, b"bootstrap.servers", servers, error, size(512))
    producer = ctypes.c_void_p(client.rd_kafka_new(0, config, error, size(512)))
    partition = sandbox.topic.partition_for("one", priority=False)
    # Tag by tag (rd_kafka_vtype_t): 1 topic, 3 partition, 7 flags (2: copy the value), 4 value, 9 header, 0 the end
    tagged = (1, topic, 3, partition, 7, 2, 4, b"{}", size(2), 9, b"before", b"x", size(1), 9, name, b"x", size(1), 0)
    assert client.rd_kafka_producev(producer, *tagged) == 0
    assert client.rd_kafka_flush(producer, 30_000) == 0
    client.rd_kafka_destroy(producer)


def test_a_header_whose_name_is_not_utf8_is_a_dead_letter_and_is_asked_for_once(sandbox: Sandbox) -> None:
    sandbox.publish(*range(100), key="one")  # a call made so often is made in another way
    send_header_named(sandbox, b"\xff\xfe")
    sandbox.publish(100, key="one")
    with sandbox.running(sandbox.runner()):
        wait_until(lambda: len(sandbox.rows()) == 101 and DeadLetter.objects.exists(), SECONDS)
    letter = DeadLetter.objects.get()
    assert (letter.reason, letter.headers, bytes(letter.value or b"")) == ("undecodable", [], b"{}")
    assert letter.error == "Undecodable: the name of a header is not UTF-8"
    assert explain.why(letter) == "El nombre de una cabecera no está en UTF-8."
    place = (letter.topic, letter.partition, letter.offset)
    message = reader.at_offsets([place], seconds=SECONDS)[place]
    for _ in range(2):  # the second time the client's own answer would be a null pointer
        assert lookup_kafka.readable_headers(message) == {}


def test_a_replay_for_a_consumer_that_nobody_knows_is_a_dead_letter(sandbox: Sandbox) -> None:
    message = encode(sandbox.happened(1))
    sandbox.send_raw(message.value, [*message.headers, (REPLAY_HEADER, b"retirado")])
    sandbox.publish(2)
    with sandbox.running(sandbox.runner()):
        wait_until(lambda: sandbox.rows() == [2] and DeadLetter.objects.exists(), SECONDS)
    letter = DeadLetter.objects.get()
    assert (letter.reason, letter.error) == (
        "undecodable",
        "Undecodable: the header mamochi_replay_for names no consumer",
    )
    assert explain.why(letter) == "La cabecera mamochi_replay_for no nombra a ningún consumidor."


def test_a_batch_ends_with_the_chunk_that_makes_it_large(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner_module, "BATCH_BYTES", 50_000)
    monkeypatch.setattr(runner_module, "CHUNK", 10)
    for n in range(100):
        sandbox.send_raw(b"x" * 10_000, [("ce_type", b"")], sandbox.topic.partition_for(str(n % 2), priority=False))
    runner = sandbox.runner()
    runner.limit = FailureLimit(in_a_row=1_000, share=1.0)
    sizes = sizes_of_batches(runner)
    with sandbox.running(runner):
        wait_until(lambda: DeadLetter.objects.count() == 100, SECONDS)
    assert max(sizes) <= 150_000  # the bound and one chunk
    assert len(sizes) < 50


def sizes_of_batches(runner: Runner) -> list[int]:
    """Bytes of each batch's values, as they are applied."""
    sizes: list[int] = []
    apply = runner._apply

    def weigh(records: list[Record]) -> bool:
        sizes.append(sum(len(record.message) for record in records))
        return apply(records)

    runner._apply = weigh  # type: ignore[method-assign]
    return sizes


# The limit


LIMIT = FailureLimit(in_a_row=3, share=0.5, window=10)


@pytest.mark.parametrize(
    ("before", "new", "stops"),
    [
        ("", "xxx.", ""),
        ("", "xxxx" + "." * 50, "in a row"),  # at the head of a batch longer than the window
        ("..xx", "xx", "in a row"),
        ("xxxx......", "..x.", ""),  # an old run is no new one
        ("", "x." * 5, ""),
        ("", "xx." * 4 + "." * 50, "50%"),
        ("xx.xx.xx.", ".........", ""),
    ],
)
def test_the_limit_looks_at_every_new_outcome(before: str, new: str, stops: str) -> None:
    def check() -> None:
        LIMIT.check([failed == "x" for failed in before], [failed == "x" for failed in new])

    if stops:
        with pytest.raises(TooManyDeadLetters, match=stops):
            check()
    else:
        check()


def lives(sandbox: Sandbox, number: int) -> None:
    """A supervisor that starts the consumer again and again."""
    for _ in range(number):
        runner = sandbox.runner()
        runner.limit = FailureLimit(in_a_row=5)
        with pytest.raises(TooManyDeadLetters, match="more than 5 messages in a row"):
            runner.run()


def test_a_restart_does_not_forget_the_failures_before_it(make_sandbox: Callable[..., Sandbox], table: None) -> None:
    sandbox = make_sandbox(max_batch=1)
    sandbox.poison = set(range(30))
    sandbox.publish(*range(40), key="one")
    lives(sandbox, 3)
    assert DeadLetter.objects.count() == 5
    DeadLetter.objects.update(state="discarded", resolved_at=timezone.now())  # staff have looked at them
    lives(sandbox, 1)
    assert DeadLetter.objects.count() == 10


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda n: n < 150, "more than 100 messages in a row failed"),
        (lambda n: n % 10 < 6, "more than 50% of 1000 messages failed"),
    ],
)
def test_undecodables_past_a_limit_stop_the_command_with_what_to_do(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, spoil: Callable[[int], bool], told: str
) -> None:
    monkeypatch.setitem(consumers, sandbox.consumer.name, sandbox.consumer)
    good = [encode(sandbox.happened(n)) for n in range(1_200)]
    with raw_producer() as raw:
        for n, message in enumerate(good):
            raw.produce(
                sandbox.topic.name, b"{" if spoil(n) else message.value, partition=0, headers=list(message.headers)
            )
    with own_signals(), pytest.raises(CommandError, match=told) as stopped:
        call_command("run_consumer", sandbox.consumer.name)
    assert stopped.value.returncode == 3
    assert "mend the cause" in str(stopped.value)
    assert "discard" in str(stopped.value)
    letters = DeadLetter.objects.count()
    with own_signals(), pytest.raises(CommandError, match="stopped"):
        call_command("run_consumer", sandbox.consumer.name)
    assert DeadLetter.objects.count() == letters  # nothing more is set aside


@contextmanager
def raw_producer() -> Iterator[Producer]:
    producer = Producer({"bootstrap.servers": settings.KAFKA_BOOTSTRAP_SERVERS, "acks": "all", "linger.ms": 20})
    yield producer
    assert producer.flush(SECONDS) == 0


@contextmanager
def own_signals() -> Iterator[None]:
    """The command takes SIGTERM and SIGINT; the tests want them back."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


# What looks like an outage


def dies(event: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")


def saves_nothing(event: Any) -> None:
    ConsumerOffset(pk=-1).save(update_fields=["next_offset"])


def uses_a_closed_cursor(event: Any) -> None:
    with connection.cursor() as cursor:
        pass
    cursor.execute("SELECT 1")


def fails_in_kafka(event: Any) -> None:
    raise KafkaException(KafkaError(KafkaError._TIMED_OUT))


@pytest.mark.parametrize(
    ("poison", "error"),
    [
        (dies, "OperationalError 57P01"),
        (saves_nothing, "DatabaseError in "),
        (uses_a_closed_cursor, "InterfaceError"),
        (fails_in_kafka, "KafkaException"),
    ],
)
def test_what_looks_like_an_outage_while_all_servers_answer_is_poison(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, poison: Callable[[Any], None], error: str
) -> None:
    monkeypatch.setattr(runner_module, "PATIENT_ATTEMPTS", 2)
    spoil(sandbox, {3}, poison)
    sandbox.publish(*range(8), key="one")
    with sandbox.running(sandbox.runner()):
        wait_until(lambda: len(sandbox.rows()) == 7, SECONDS)
    assert sandbox.rows() == [0, 1, 2, 4, 5, 6, 7]
    assert DeadLetter.objects.get().error.startswith(error)


def spoil(sandbox: Sandbox, numbers: set[int], poison: Callable[[Any], None]) -> None:
    def handle(events: list[Any]) -> None:
        sandbox.handle(events)
        for event in events:
            if event.n in numbers:
                poison(event)

    sandbox.consumer.handlers[sandbox.event] = handle


@pytest.mark.parametrize(
    "error", [exceptions.Unavailable("both down"), KafkaException(KafkaError(KafkaError._ALL_BROKERS_DOWN))]
)
def test_what_a_handler_meets_in_an_outage_is_waited_out_however_long(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr(runner_module, "PATIENT_ATTEMPTS", 2)
    monkeypatch.setattr(runner_module, "LONGEST_BACKOFF", 0.1)
    left = [error] * 10
    monkeypatch.setattr(
        broker_client, "answers", lambda timeout: not left
    )  # Kafka is away for as long as the handler fails

    def fail(event: Any) -> None:
        if left:
            raise left.pop()

    spoil(sandbox, {1}, fail)
    sandbox.publish(*range(3), key="one")
    with sandbox.running(sandbox.runner()):
        wait_until(lambda: len(sandbox.rows()) == 3, SECONDS)
    assert sandbox.rows() == [0, 1, 2]
    assert not DeadLetter.objects.exists()


# Kafka's offset is only told


class Instead:
    """A Kafka consumer with some of its methods replaced: those of the client itself cannot be patched."""

    def __init__(self, kafka: KafkaConsumer, **methods: Callable[..., Any]) -> None:
        self.kafka = kafka
        self.__dict__.update(methods)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.kafka, name)


def refuse(**_options: Any) -> None:
    raise KafkaException(KafkaError(KafkaError._STATE))


def test_a_commit_that_kafka_refuses_applies_nothing_again(sandbox: Sandbox, caplog: pytest.LogCaptureFixture) -> None:
    sandbox.publish(*range(5), key="one")
    runner = sandbox.runner()
    records = poll_until_records(runner)
    runner.kafka = Instead(runner.kafka, commit=refuse)  # type: ignore[assignment]
    assert runner._apply(records)
    assert sandbox.rows() == [0, 1, 2, 3, 4]
    assert "does not take the offsets" in caplog.text
    runner._on_commit(None, [TopicPartition(sandbox.topic.name, 0, 1)])
    assert "does not take an offset" not in caplog.text
    runner._on_commit(KafkaError(KafkaError.ILLEGAL_GENERATION), [])
    assert "does not take an offset" in caplog.text
    runner.kafka.close()


def test_an_offset_only_moves_forward(sandbox: Sandbox) -> None:
    sandbox.publish(1, 2, 3, key="one")
    runner = sandbox.runner()
    records = poll_until_records(runner)
    assert runner._apply(records)
    with pytest.raises(Fenced):  # what we hold is what the batch leads to
        one_batch(sandbox, records).apply(runner.held, runner.topic_uuids, [])
    assert sandbox.rows() == [1, 2, 3]
    runner.kafka.close()


def test_an_error_that_comes_while_an_outage_is_waited_out_is_not_lost(sandbox: Sandbox) -> None:
    sandbox.publish(1, 2, 3, key="one")
    runner = sandbox.runner()
    poll_until_records(runner)
    at = (sandbox.topic.name, sandbox.topic.partition_for("one", priority=False))
    broker_client.admin().delete_records([TopicPartition(*at, 3)])[TopicPartition(*at)].result()
    runner.kafka.seek(TopicPartition(*at, 0))  # which Kafka no longer has
    strays: list[Message] = []
    wait_until(lambda: strays.extend(filter(None, [runner.kafka.poll(0.1)])) or bool(strays), SECONDS)  # type: ignore[func-returns-value]
    runner.kafka = Instead(runner.kafka, poll=lambda _seconds: strays[-1])  # type: ignore[assignment]
    runner._wait_out(KafkaException(KafkaError(KafkaError._TIMED_OUT)), attempt=1)
    assert strays[-1].error() is not None
    assert at in runner.unpositioned
    runner.kafka.close()


def test_a_topic_made_anew_while_it_is_read_is_noticed(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(positions, "WATCH_SECONDS", 0.2)
    sandbox.publish(1, 2, 3, key="one")
    with sandbox.running(sandbox.runner()):
        wait_until(lambda: len(sandbox.rows()) == 3, SECONDS)
        remake(sandbox)
        sandbox.publish(*range(10, 20), key="one")  # three of them lie below the offset that we are at
        wait_until(lambda: {*range(10, 20)} <= {*sandbox.rows()}, SECONDS)
