"""The circuit breaker: a bad partition says nothing about the rest of Kafka."""

import time
from uuid import uuid4

import pytest
from confluent_kafka import KafkaError
from msgspec.structs import replace

from kafka_bridge.events.codec import Message
from kafka_bridge.publishing import breaker as breaker_module
from kafka_bridge.publishing.breaker import Breaker

GOOD = Message(event_id=uuid4(), topic="t", partition=0, key=b"", value=b"", headers=(), priority=False)
BAD = replace(GOOD, partition=1)
SILENT = KafkaError(KafkaError._MSG_TIMED_OUT)


def fail(breaker: Breaker, message: Message, error: KafkaError | None) -> None:
    began = time.monotonic()
    assert breaker.lets_through([message]) == [message]
    breaker.learn([message], [(message, error)], began)


@pytest.mark.parametrize("code", [KafkaError._UNKNOWN_PARTITION, KafkaError.TOPIC_AUTHORIZATION_FAILED])
def test_a_refused_partition_stands_alone(code: int) -> None:
    breaker = Breaker()
    fail(breaker, BAD, KafkaError(code))
    assert breaker.lets_through([BAD, GOOD]) == [GOOD]


def test_silence_stops_all_at_first() -> None:
    breaker = Breaker()
    fail(breaker, BAD, None)
    assert breaker.lets_through([GOOD]) == []
    assert breaker.lets_through([BAD, GOOD]) == []


def test_a_partition_that_stays_silent_stands_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(breaker_module, "BREAKER_SECONDS", 0.0)
    breaker = Breaker()
    fail(breaker, BAD, SILENT)
    fail(breaker, BAD, SILENT)  # known to be bad: its probe does not stop the others
    assert breaker.lets_through([GOOD]) == [GOOD]
    breaker.learn([GOOD], [], time.monotonic())
    assert breaker.lets_through([GOOD, BAD]) == [GOOD, BAD]  # after an outage all are tried again


def test_silence_lasts_since_its_first_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(breaker_module, "BREAKER_SECONDS", 0.0)
    monkeypatch.setattr(breaker_module, "PROBE_SECONDS", 0.0)
    breaker = Breaker()
    assert breaker.silent_since([BAD.destination]) is None
    fail(breaker, BAD, SILENT)
    since = breaker.silent_since([BAD.destination])
    fail(breaker, BAD, SILENT)
    assert since is not None
    assert breaker.silent_since([BAD.destination]) == since
    assert breaker.silent_since([GOOD.destination]) is None
    fail(breaker, BAD, KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED))  # an answer
    assert breaker.silent_since([BAD.destination]) is None
