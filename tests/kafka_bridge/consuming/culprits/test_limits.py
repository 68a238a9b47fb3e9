"""A consumer stops when too many messages fail, and remembers that when it starts again."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from confluent_kafka import Producer
from django.conf import settings
from django.core.management import CommandError, call_command
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from kafka_bridge.consuming.culprits.limits import FailureLimit, GroupSize
from kafka_bridge.consuming.handlers import consumers
from kafka_bridge.events.codec import encode
from kafka_bridge.exceptions import TooManyDeadLetters
from kafka_bridge.models import DeadLetter
from tests.support.sandbox import SECONDS, Sandbox

LIMIT = FailureLimit(in_a_row=3, share=0.5, window=10)


@pytest.mark.parametrize(
    ("before", "new", "stops"),
    [
        ("", "xxx.", ""),
        ("", "xxxx" + "." * 50, "in a row"),  # at the head of a batch longer than the window
        ("..xx", "xx", "in a row"),
        ("xxxx......", "..x.", ""),  # an old run does not count again
        ("", "x." * 5, ""),
        ("", "xx." * 4 + "." * 50, "50%"),
        ("xx.xx.xx.", ".........", ""),
    ],
)
def test_each_new_outcome_counts(before: str, new: str, stops: str) -> None:
    def check() -> None:
        LIMIT.check([failed == "x" for failed in before], [failed == "x" for failed in new])

    if stops:
        with pytest.raises(TooManyDeadLetters, match=stops):
            check()
    else:
        check()


@given(st.integers(1, 5_000), st.lists(st.tuples(st.booleans(), st.integers(1, 5_000)), max_size=50))
def test_a_group_fits_into_a_batch(most: int, attempts: list[tuple[bool, int]]) -> None:
    """It is never empty either."""
    size = GroupSize(most)
    for passed, tried in attempts:
        if passed:
            size.passed(min(tried, size.records))
        else:
            size.failed()
        assert 1 <= size.records <= most


def test_a_consumer_stops_when_all_fails(sandbox: Sandbox) -> None:
    sandbox.poison = set(range(400))
    sandbox.publish(*range(400), key="one")
    runner = sandbox.runner()
    runner.limit = LIMIT  # the first batch has more messages, however busy the machine is
    with pytest.raises(TooManyDeadLetters, match="in a row"):
        runner.run()
    assert not DeadLetter.objects.exists()
    assert not sandbox.rows()
    assert set(sandbox.offsets().values()) == {0}


def test_a_restart_remembers_failures(make_sandbox: Callable[..., Sandbox], table: None) -> None:
    sandbox = make_sandbox(max_batch=1)
    sandbox.poison = set(range(30))
    sandbox.publish(*range(40), key="one")
    start_until_stopped(sandbox, 3)
    assert DeadLetter.objects.count() == 5
    DeadLetter.objects.update(state="discarded", resolved_at=timezone.now())  # staff have looked at them
    start_until_stopped(sandbox, 1)
    assert DeadLetter.objects.count() == 10


def start_until_stopped(sandbox: Sandbox, times: int) -> None:
    """Start the consumer again and again, as a supervisor does."""
    for _ in range(times):
        runner = sandbox.runner()
        runner.limit = FailureLimit(in_a_row=5)
        with pytest.raises(TooManyDeadLetters, match="more than 5 messages in a row"):
            runner.run()


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda n: n < 150, "more than 100 messages in a row failed"),
        (lambda n: n % 10 < 6, "more than 50% of 1000 messages failed"),
    ],
)
def test_the_command_stops_with_advice(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, spoil: Callable[[int], bool], reason: str
) -> None:
    monkeypatch.setitem(consumers, sandbox.consumer.name, sandbox.consumer)
    good = [encode(sandbox.happened(n)) for n in range(1_200)]
    with raw_producer() as raw:
        for n, message in enumerate(good):
            raw.produce(
                sandbox.topic.name, b"{" if spoil(n) else message.value, partition=0, headers=list(message.headers)
            )
    with own_signals(), pytest.raises(CommandError, match=reason) as stopped:
        call_command("run_consumer", sandbox.consumer.name)
    assert stopped.value.returncode == 3
    assert "fix the cause" in str(stopped.value)
    assert "discard" in str(stopped.value)
    letters = DeadLetter.objects.count()
    with own_signals(), pytest.raises(CommandError, match="stopped"):
        call_command("run_consumer", sandbox.consumer.name)
    assert DeadLetter.objects.count() == letters, "no further dead letters"


@contextmanager
def raw_producer() -> Iterator[Producer]:
    producer = Producer({**settings.KAFKA_CLIENT_CONFIG, "acks": "all", "linger.ms": 20})
    yield producer
    assert producer.flush(SECONDS) == 0


@contextmanager
def own_signals() -> Iterator[None]:
    """Restore the handlers of SIGTERM and SIGINT, which the command replaces."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
