"""A message that holds no event becomes a dead letter with its reason."""

import ctypes
import gc
import re
import weakref
from pathlib import Path

import pytest
from confluent_kafka import Message
from django.conf import settings

from deploy.embedded.waiting import wait_until
from kafka_bridge.brokers import reader
from kafka_bridge.brokers.messages import headers_of
from kafka_bridge.consuming.record import LARGEST_VALUE, REPLAY_HEADER, read
from kafka_bridge.dead_letters import explain
from kafka_bridge.events.codec import encode
from kafka_bridge.exceptions import Undecodable
from kafka_bridge.models import DeadLetter
from tests.support.sandbox import SECONDS, Sandbox


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
def test_a_message_without_event_is_set_aside(
    sandbox: Sandbox, value: bytes | None, event_type: bytes | None, reason: str
) -> None:
    declared = sandbox.event.type.encode()
    sandbox.send_raw(value, [("ce_type", declared if event_type is None else event_type)])
    sandbox.publish(1)
    with sandbox.running():
        wait_until(lambda: sandbox.rows() == [1] and DeadLetter.objects.exists(), SECONDS)
    assert DeadLetter.objects.get().reason == reason


@pytest.mark.parametrize("value", [b"no json", b"{}", b"0" * (LARGEST_VALUE + 1)])
@pytest.mark.parametrize("name", ["mamochi.ventas.venta-registrada.v1", "mamochi.nada.nunca.v9"])
def test_a_rejected_message_is_freed_at_once(value: bytes, name: str) -> None:
    """A cycle would keep a message of 90 MB until the garbage collector's last generation."""
    message = Message(topic="t", partition=0, offset=0, value=value, headers=[("ce_type", name.encode())])
    gc.collect()
    gc.disable()
    try:
        rejected = read(message).rejected
        assert rejected is not None
        alive = weakref.ref(rejected)
        del rejected
        assert alive() is None
    finally:
        gc.enable()


def test_a_replay_for_no_consumer_is_set_aside(sandbox: Sandbox) -> None:
    message = encode(sandbox.happened(1))
    sandbox.send_raw(message.value, [*message.headers, (REPLAY_HEADER, b"retirado")])
    sandbox.publish(2)
    with sandbox.running():
        wait_until(lambda: sandbox.rows() == [2] and DeadLetter.objects.exists(), SECONDS)
    letter = DeadLetter.objects.get()
    assert letter.reason == "undecodable"
    assert letter.error == "Undecodable: the header mamochi_replay_for names no consumer"
    assert explain.why(letter) == "La cabecera mamochi_replay_for no nombra a ningún consumidor."


def test_a_header_name_must_be_utf8(sandbox: Sandbox) -> None:
    sandbox.publish(*range(100), key="one")  # CPython specialises a call that is made so often
    send_header_named(sandbox, b"\xff\xfe")
    sandbox.publish(100, key="one")
    with sandbox.running():
        wait_until(lambda: len(sandbox.rows()) == 101 and DeadLetter.objects.exists(), SECONDS)
    letter = DeadLetter.objects.get()
    assert (letter.reason, letter.headers, bytes(letter.value or b"")) == ("undecodable", [], b"{}")
    assert letter.error == "Undecodable: the name of a header is not UTF-8"
    assert explain.why(letter) == "El nombre de una cabecera no está en UTF-8."


def test_a_broken_header_is_asked_for_once(sandbox: Sandbox) -> None:
    """The second time the client itself would return a null pointer."""
    send_header_named(sandbox, b"\xff\xfe")
    place = (sandbox.topic.name, sandbox.topic.partition_for("one", priority=False), 0)
    message = reader.at_offsets([place], seconds=SECONDS)[place]
    with pytest.raises(Undecodable, match="not UTF-8"):
        headers_of(message)
    assert headers_of(message) == {}


def send_header_named(sandbox: Sandbox, name: bytes) -> None:
    """Send a message with librdkafka itself, because the Python client accepts text only."""
    client = ctypes.CDLL(re.findall(r"/\S*librdkafka\S*", Path("/proc/self/maps").read_text())[0])
    client.rd_kafka_conf_new.restype = client.rd_kafka_new.restype = ctypes.c_void_p
    config, error = ctypes.c_void_p(client.rd_kafka_conf_new()), ctypes.create_string_buffer(512)
    servers, size, topic = settings.KAFKA_BOOTSTRAP_SERVERS.encode(), ctypes.c_size_t, sandbox.topic.name.encode()
    client.rd_kafka_conf_set(config, b"bootstrap.servers", servers, error, size(512))
    producer = ctypes.c_void_p(client.rd_kafka_new(0, config, error, size(512)))
    partition = sandbox.topic.partition_for("one", priority=False)
    # The tags (rd_kafka_vtype_t): 1 topic, 3 partition, 7 flags (2: copy the value), 4 value,
    # 9 header, 0 end.
    tagged = (1, topic, 3, partition, 7, 2, 4, b"{}", size(2), 9, b"before", b"x", size(1), 9, name, b"x", size(1), 0)
    assert client.rd_kafka_producev(producer, *tagged) == 0
    assert client.rd_kafka_flush(producer, 30_000) == 0
    client.rd_kafka_destroy(producer)
