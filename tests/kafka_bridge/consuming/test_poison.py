"""Unreadable batches, huge values and absurd timestamps stop no consumer."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

import pytest
from confluent_kafka import KafkaError, Producer
from confluent_kafka import Message as KafkaMessage
from django.conf import settings
from django.db import connection

from deploy.embedded.waiting import wait_until
from kafka_bridge.brokers import topic_admin, watermarks
from kafka_bridge.consuming.handlers import consumers
from kafka_bridge.consuming.record import KEPT_BYTES, LARGEST_VALUE
from kafka_bridge.dead_letters import actions, explain
from kafka_bridge.events.codec import encode
from kafka_bridge.exceptions import NotReplayable
from kafka_bridge.models import ConsumerOffset, DeadLetter
from kafka_bridge.monitoring import overview
from kafka_bridge.monitoring.lookup import search
from tests.support.letters import STAFF, client_with, url_of
from tests.support.sandbox import SECONDS, Sandbox
from tests.support.topics import configure

CHECKOUT: Final = Path(__file__).resolve().parents[3]


@pytest.fixture
def unprotected(make_sandbox: Callable[..., Sandbox], table: None) -> Sandbox:
    """Return a sandbox whose topic, other than declared, stores what senders compressed."""
    sandbox = make_sandbox()
    configure(sandbox.topic.name, {"compression.type": "producer"})
    return sandbox


def send_compressed(topic: str, values: list[bytes], codec: str, partition: int = 0) -> set[str]:
    """Send the values as one compressed batch, by a producer without limits.

    Returns the names of Kafka's errors.
    """
    errors: set[str] = set()
    producer = Producer(
        {
            **settings.KAFKA_CLIENT_CONFIG,
            "compression.type": codec,
            "message.max.bytes": 1_000_000_000,
            "batch.size": 1_000_000_000,
            "queue.buffering.max.kbytes": 2_000_000,
            "linger.ms": 1_000 if len(values) > 1 else 0,
        }
    )
    for value in values:
        producer.produce(topic, partition=partition, value=value, on_delivery=partial(_note_error, errors))
    assert producer.flush(SECONDS) == 0
    return errors


def _note_error(errors: set[str], error: KafkaError | None, _message: KafkaMessage) -> None:
    if error is not None:
        errors.add(error.name())


@pytest.mark.slow
def test_a_batch_that_cannot_be_unpacked_is_passed(unprotected: Sandbox) -> None:
    unprotected.publish(1, key="one")
    partition = unprotected.topic.partition_for("one", priority=False)
    send_compressed(unprotected.topic.name, [b"\0" * 150_000_000], "zstd", partition)
    unprotected.publish(2, key="one")
    with unprotected.running():
        wait_until(lambda: unprotected.rows() == [1, 2] and DeadLetter.objects.exists(), SECONDS)
    letter = DeadLetter.objects.get()
    assert (letter.partition, letter.offset, letter.last_offset) == (partition, 1, 1)
    assert (letter.reason, letter.value, letter.message_at) == ("undecodable", None, None)
    assert "no puede desempaquetar" in explain.why(letter)
    with pytest.raises(NotReplayable, match="no se puede reenviar"):
        actions.replay(
            letter.pk, by=STAFF, value=encode(unprotected.happened(9)).value, event_type=unprotected.event.type
        )


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 37])
def test_an_unreadable_batch_is_one_dead_letter(unprotected: Sandbox, count: int) -> None:
    """Also at the end of the partition, and where the consumer continues inside of the batch."""
    send_compressed(unprotected.topic.name, [b"\0" * (200_000_000 // count)] * count, "zstd")
    with unprotected.running():
        wait_until(DeadLetter.objects.exists, SECONDS)
    letter = DeadLetter.objects.get()
    assert (letter.offset, letter.last_offset, unprotected.offsets()[0]) == (0, count - 1, count)
    DeadLetter.objects.all().delete()
    ConsumerOffset.objects.filter(partition=0).update(next_offset=1)
    send_compressed(unprotected.topic.name, [b"\0" * 150_000_000], "zstd")
    with unprotected.running():
        wait_until(lambda: DeadLetter.objects.count() == 2, SECONDS)
    places = DeadLetter.objects.order_by("offset").values_list("offset", "last_offset")
    assert list(places) == [(1, count - 1), (count, count)]


@pytest.mark.slow
def test_a_huge_value_is_cut(unprotected: Sandbox) -> None:
    unprotected.consumer.max_batch = 5
    staff = client_with("view_deadletter", "replay_deadletter")
    send_compressed(
        unprotected.topic.name, [b"[" * 90_000_000, b"[" * (LARGEST_VALUE + 1), b"[" * LARGEST_VALUE], "gzip"
    )
    key = next(str(n) for n in range(100) if unprotected.topic.partition_for(str(n), priority=False) == 0)
    unprotected.publish(1, key=key)
    with unprotected.running():
        wait_until(lambda: unprotected.rows() == [1] and DeadLetter.objects.count() == 3, SECONDS)
    huge, large, whole = DeadLetter.objects.order_by("offset")
    assert (huge.reason, huge.value_bytes, len(bytes(huge.value or b""))) == ("too_large", 90_000_000, KEPT_BYTES)
    assert (large.reason, large.value_bytes) == ("too_large", LARGEST_VALUE + 1)
    assert (whole.reason, whole.value_bytes, len(bytes(whole.value or b""))) == ("unknown_type", None, LARGEST_VALUE)
    page = staff.get(url_of(huge)).content.decode()
    assert "65536 de 90000000 bytes" in page.replace(".", "")
    assert len(page) < 200_000
    answer = staff.get(url_of(huge, "correct_and_replay"), follow=True).content.decode()
    assert "no se puede reenviar" in answer
    assert actions.check_all(DeadLetter.objects.filter(pk=huge.pk)).refused.total() == 1


@pytest.mark.parametrize("milliseconds", [1_795_000_000_000_000, 2**62, 1, -1, 253_402_300_800_000])
def test_an_absurd_timestamp_breaks_nothing(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, milliseconds: int
) -> None:
    """Both messages become dead letters without that time, and the next one is applied."""
    monkeypatch.setitem(consumers, sandbox.consumer.name, sandbox.consumer)
    use_create_time(sandbox.topic.name)
    viewer = client_with("view_lookuppage", "view_deadletter")
    event = sandbox.happened(1)
    at_zero = Producer({**settings.KAFKA_CLIENT_CONFIG})
    for message in (encode(event), None):
        value = message.value if message else b"no"
        headers: list[tuple[str, str | bytes | None]] = [*message.headers] if message else []
        at_zero.produce(sandbox.topic.name, value, partition=0, headers=headers, timestamp=milliseconds)
    sandbox.send_raw(encode(next_one := sandbox.happened(2)).value, [*encode(next_one).headers])
    assert at_zero.flush(SECONDS) == 0
    overview.take()
    assert search.look_up(event.id).events
    with sandbox.running():
        wait_until(lambda: sandbox.rows() == [2] and DeadLetter.objects.count() == 2, SECONDS)
    for letter in DeadLetter.objects.all():
        assert letter.message_at is None
        assert f"{milliseconds} milisegundos desde 1970" in viewer.get(url_of(letter)).text
    assert viewer.get(f"/admin/kafka_bridge/lookuppage/?id={event.id}").status_code == 200


def use_create_time(topic: str) -> None:
    """Let the topic keep the timestamps of its senders, however far from the broker's clock."""
    limits = ("message.timestamp.before.max.ms", "message.timestamp.after.max.ms")
    configure(topic, {"message.timestamp.type": "CreateTime", **dict.fromkeys(limits, str(2**63 - 1))})


@pytest.mark.slow
@pytest.mark.parametrize(
    ("codec", "size"), [("gzip", 90_000_000), ("lz4", 80_000_000), ("zstd", 90_000_000), ("snappy", 20_000_000)]
)
def test_kafka_refuses_what_unpacks_to_too_much(sandbox: Sandbox, codec: str, size: int) -> None:
    """As sent, each would fit. The broker unpacks it, because the topic asks for that."""
    assert send_compressed(sandbox.topic.name, [b"\0" * size], codec) == {"MSG_SIZE_TOO_LARGE"}
    assert send_compressed(sandbox.topic.name, [b"\0" * 100_000] * 20, codec) == {"MSG_SIZE_TOO_LARGE"}
    assert send_compressed(sandbox.topic.name, [b"\0" * 100_000] * 9, codec) == set()
    assert sum(watermarks.end_offsets(topic_admin.partitions_of(sandbox.topic.name)).values()) == 9


@pytest.mark.chaos
def test_a_consumer_stays_below_300_mb(sandbox: Sandbox) -> None:
    """Its senders try one bomb after another, and send as much as the topic takes.

    The peak of a process of its own, as the kernel counts it, with the site's apps loaded.
    """
    bombs = [("gzip", 90_000_000)] * 5 + [("lz4", 80_000_000)] * 3 + [("zstd", 90_000_000)] * 3
    for value in [b"small", *[b"\0" * 1_000_000] * 40] * 2:  # the size of the first tells nothing
        assert send_compressed(sandbox.topic.name, [value], "zstd") == set()
    with consumer_process(sandbox) as pid:
        wait_until(partial(has_dead_letters, 82), SECONDS)
        for codec, size in bombs:
            assert send_compressed(sandbox.topic.name, [b"\0" * size], codec) == {"MSG_SIZE_TOO_LARGE"}
        for codec in ["gzip", "lz4", "none"] * 4:
            assert send_compressed(sandbox.topic.name, [b"\0" * 1_000_000], codec) == set()
        wait_until(partial(has_dead_letters, 94), SECONDS)
        assert memory_peak(pid) < 300


@pytest.mark.chaos
def test_an_unprotected_consumer_stays_below_300_mb(unprotected: Sandbox) -> None:
    """Where bombs are stored, it holds for those of 70 MB that come one at a time."""
    messages = [
        ([b"\0" * 150_000_000], "zstd"),
        ([b"\0" * 70_000_000], "gzip"),
        *[([b"\0" * 5_000_000], "gzip")] * 20,
        ([b"\0" * 5_000_000] * 10, "gzip"),
        ([b"\0" * 70_000_000], "lz4"),
    ]
    dead = 0
    with consumer_process(unprotected) as pid:
        for values, codec in messages:
            assert send_compressed(unprotected.topic.name, values, codec) == set()
            dead += len(values)
            wait_until(partial(has_dead_letters, dead), SECONDS)
        assert memory_peak(pid) < 300


@contextmanager
def consumer_process(sandbox: Sandbox) -> Iterator[int]:
    """Run the sandbox's consumer as a program, and yield its process id."""
    process = subprocess.Popen(
        [sys.executable, "-c", RUN, sandbox.topic.name, sandbox.consumer.name],
        cwd=CHECKOUT,
        env={**os.environ, "DATABASE_URL": database_url(), "DJANGO_SETTINGS_MODULE": "mamochi_site.settings"},
    )
    try:
        yield process.pid
    finally:
        process.terminate()
        process.wait(SECONDS)


def has_dead_letters(count: int) -> bool:
    return DeadLetter.objects.count() == count


def memory_peak(pid: int) -> float:
    """Return the most memory that the process ever had resident, in MB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.findall(r"VmHWM:\s+(\d+)", status)[0]) / 1_024


# `manage.py run_consumer` with a consumer of the sandbox's topic. With DEBUG, Django would keep the
# last 9,000 statements.
RUN: Final = """
import sys
import django
django.setup()
from django.conf import settings
settings.DEBUG = False
from django.core.management import call_command
from kafka_bridge.consuming.handlers import handles
from kafka_bridge.events.event import Event
from kafka_bridge.events.topics import Topic
class Happened(Event, frozen=True):
    type = "sandbox.v1"
    topic = Topic(name=sys.argv[1], partitions=2)
handles(Happened, consumer=sys.argv[2])(print)
call_command("run_consumer", sys.argv[2])
"""


def database_url() -> str:
    """Return the URL of the test database, for another process."""
    of = connection.settings_dict
    return f"postgresql://{of['USER']}:{of['PASSWORD']}@{of['HOST']}:{of['PORT']}/{of['NAME']}"
