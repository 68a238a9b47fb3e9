"""Unreadable batches, huge values and absurd timestamps stop no consumer."""

from pathlib import Path
from typing import Final

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import ConfigResource, ResourceType
from django.conf import settings

from deploy.embedded.waiting import wait_until
from kafka_bridge.brokers import client
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

CHECKOUT: Final = Path(__file__).resolve().parents[3]


def send_compressed(topic: str, values: list[bytes], codec: str, partition: int = 0) -> None:
    """Send the values as one compressed batch, by a producer without limits."""
    producer = Producer(
        {
            **settings.KAFKA_CLIENT_CONFIG,
            "compression.type": codec,
            "message.max.bytes": 1_000_000_000,
            "batch.size": 1_000_000_000,
            "queue.buffering.max.kbytes": 2_000_000,
            "linger.ms": 1_000,
        }
    )
    for value in values:
        producer.produce(topic, partition=partition, value=value)
    assert producer.flush(SECONDS) == 0


@pytest.mark.slow
def test_a_batch_that_cannot_be_unpacked_is_passed(sandbox: Sandbox) -> None:
    sandbox.publish(1, key="one")
    partition = sandbox.topic.partition_for("one", priority=False)
    send_compressed(sandbox.topic.name, [b"\0" * 150_000_000], "zstd", partition)
    sandbox.publish(2, key="one")
    with sandbox.running():
        wait_until(lambda: sandbox.rows() == [1, 2] and DeadLetter.objects.exists(), SECONDS)
    letter = DeadLetter.objects.get()
    assert (letter.partition, letter.offset, letter.last_offset) == (partition, 1, 1)
    assert (letter.reason, letter.value, letter.message_at) == ("undecodable", None, None)
    assert "no puede desempaquetar" in explain.why(letter)
    with pytest.raises(NotReplayable, match="no se puede reenviar"):
        actions.replay(letter.pk, by=STAFF, value=encode(sandbox.happened(9)).value, event_type=sandbox.event.type)


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 37])
def test_an_unreadable_batch_is_one_dead_letter(sandbox: Sandbox, count: int) -> None:
    """Also at the end of the partition, and where the consumer continues inside of the batch."""
    send_compressed(sandbox.topic.name, [b"\0" * (200_000_000 // count)] * count, "zstd")
    with sandbox.running():
        wait_until(DeadLetter.objects.exists, SECONDS)
    letter = DeadLetter.objects.get()
    assert (letter.offset, letter.last_offset, sandbox.offsets()[0]) == (0, count - 1, count)
    DeadLetter.objects.all().delete()
    ConsumerOffset.objects.filter(partition=0).update(next_offset=1)
    send_compressed(sandbox.topic.name, [b"\0" * 150_000_000], "zstd")
    with sandbox.running():
        wait_until(lambda: DeadLetter.objects.count() == 2, SECONDS)
    places = DeadLetter.objects.order_by("offset").values_list("offset", "last_offset")
    assert list(places) == [(1, count - 1), (count, count)]


@pytest.mark.slow
def test_a_huge_value_is_cut(sandbox: Sandbox) -> None:
    sandbox.consumer.max_batch = 5
    staff = client_with("view_deadletter", "replay_deadletter")
    send_compressed(sandbox.topic.name, [b"[" * 90_000_000, b"[" * (LARGEST_VALUE + 1), b"[" * LARGEST_VALUE], "gzip")
    key = next(str(n) for n in range(100) if sandbox.topic.partition_for(str(n), priority=False) == 0)
    sandbox.publish(1, key=key)
    with sandbox.running():
        wait_until(lambda: sandbox.rows() == [1] and DeadLetter.objects.count() == 3, SECONDS)
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
    """A valid event is applied; one without event becomes a dead letter without that time."""
    monkeypatch.setitem(consumers, sandbox.consumer.name, sandbox.consumer)
    use_create_time(sandbox.topic.name)
    viewer = client_with("view_lookuppage", "view_deadletter")
    event = sandbox.happened(1)
    at_zero = Producer({**settings.KAFKA_CLIENT_CONFIG})
    for message in (encode(event), None):
        value = message.value if message else b"no"
        headers: list[tuple[str, str | bytes | None]] = [*message.headers] if message else []
        at_zero.produce(sandbox.topic.name, value, partition=0, headers=headers, timestamp=milliseconds)
    assert at_zero.flush(SECONDS) == 0
    overview.take()
    assert search.look_up(event.id).events
    with sandbox.running():
        wait_until(lambda: sandbox.rows() == [1] and DeadLetter.objects.exists(), SECONDS)
    letter = DeadLetter.objects.get()
    assert viewer.get(url_of(letter)).status_code == 200
    assert viewer.get(f"/admin/kafka_bridge/lookuppage/?id={event.id}").status_code == 200


def use_create_time(topic: str) -> None:
    """Let the topic keep the timestamps of its senders, however far from the broker's clock."""
    resource = ConfigResource(ResourceType.TOPIC, topic)
    for name, value in {
        "message.timestamp.type": "CreateTime",
        "message.timestamp.before.max.ms": str(2**63 - 1),
        "message.timestamp.after.max.ms": str(2**63 - 1),
    }.items():
        resource.set_config(name, value)
    client.admin().alter_configs([resource])[resource].result()
