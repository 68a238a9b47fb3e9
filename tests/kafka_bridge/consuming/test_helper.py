"""A helper applies half of a backlog, and gives the partitions back."""

import math
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import pytest
from django.db import connection
from prometheus_client import REGISTRY

from deploy.embedded.waiting import wait_until
from kafka_bridge.consuming import helper
from kafka_bridge.consuming.helper import CALM_SECONDS, HELPER, HelpedRunner, HelperRunner, help_out
from kafka_bridge.consuming.lanes import FORK
from kafka_bridge.consuming.runner import Runner
from kafka_bridge.publishing import producer
from tests.support import consumers
from tests.support.sandbox import SECONDS, Sandbox

pytestmark = pytest.mark.chaos

PARTITIONS = 4
MESSAGES = 8_000
KEYS = 40
LAG = "mamochi_consumer_lag_messages"


@pytest.fixture(autouse=True)
def _close_the_connection(table: None) -> Iterator[None]:
    """Close the test's connection, which a server may have ended because it was idle for long."""
    yield
    connection.close()


@pytest.fixture
def sandbox(make_sandbox: Callable[..., Sandbox], monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """Return a consumer with small batches, so that some thousand messages are a backlog."""
    monkeypatch.setattr(helper, "BACKLOG_SECONDS", 0.1)
    return make_sandbox(partitions=PARTITIONS, max_batch=10)


@contextmanager
def running(sandbox: Sandbox) -> Iterator[HelpedRunner]:
    """Run the main lane and its helper, in threads, until the block ends."""
    ours, lender = FORK.Pipe()
    runner = HelpedRunner(sandbox.consumer, stop=threading.Event(), helper=ours)
    with consumers.running(partial(_run, runner), lambda stop: help_out(sandbox.consumer, stop=stop, lender=lender)):
        yield runner
    ours.close()
    lender.close()


def _run(runner: Runner, stop: threading.Event) -> None:
    runner.stop = stop
    runner.run()


def publish(sandbox: Sandbox, numbers: range, keys: int = KEYS) -> None:
    producer.publish(*[sandbox.happened(n, f"key {n % keys}") for n in numbers])


def applied(sandbox: Sandbox, lane: str) -> float:
    labels = {"consumer": sandbox.consumer.name, "lane": lane}
    return REGISTRY.get_sample_value("mamochi_consumer_messages_total", labels) or 0.0


def has_rows(sandbox: Sandbox, count: int) -> bool:
    return len(sandbox.rows()) == count


def holds_all(runner: Runner) -> bool:
    return len(runner.partitions.held) == PARTITIONS


def test_the_helper_applies_a_part_and_gives_back(sandbox: Sandbox) -> None:
    publish(sandbox, range(MESSAGES))
    with running(sandbox) as runner:
        wait_until(lambda: runner.lent, SECONDS)
        assert runner.lent.isdisjoint(runner.partitions.held)
        wait_until(lambda: len(sandbox.rows()) == MESSAGES, SECONDS)
        wait_until(lambda: holds_all(runner) and not runner.is_helped, SECONDS)
        helped = applied(sandbox, HELPER)
        publish(sandbox, range(MESSAGES, MESSAGES + KEYS))
        wait_until(lambda: len(sandbox.rows()) == MESSAGES + KEYS, SECONDS)
    rows = sandbox.rows()
    assert sorted(rows) == list(range(MESSAGES + KEYS))
    by_key = defaultdict(list)
    for n in rows:
        by_key[n % KEYS].append(n)
    assert all(numbers == sorted(numbers) for numbers in by_key.values())
    assert helped > 0
    # What comes later is the main lane's alone.
    assert (applied(sandbox, "main"), applied(sandbox, HELPER)) == (MESSAGES + KEYS - helped, helped)


def test_the_helper_is_asked_again(sandbox: Sandbox) -> None:
    with running(sandbox) as runner:
        for begin in (0, MESSAGES):
            before = applied(sandbox, HELPER)
            publish(sandbox, range(begin, begin + MESSAGES))
            wait_until(partial(has_rows, sandbox, begin + MESSAGES), SECONDS)
            wait_until(lambda: not runner.is_helped, SECONDS)
            assert applied(sandbox, HELPER) > before
    assert sorted(sandbox.rows()) == list(range(2 * MESSAGES))


def test_partitions_that_the_group_takes_are_called_back(sandbox: Sandbox) -> None:
    """Another member joins while some are lent. It gets some of all, and each is applied once."""
    publish(sandbox, range(2 * MESSAGES))
    other = sandbox.runner()
    with running(sandbox) as runner:
        wait_until(lambda: runner.lent, SECONDS)
        with sandbox.running(other):
            wait_until(lambda: len(sandbox.rows()) == 2 * MESSAGES, SECONDS)
            wait_until(lambda: not runner.is_helped, SECONDS)
            wait_until(lambda: len({*runner.partitions.held, *other.partitions.held}) == PARTITIONS, SECONDS)
            assert runner.partitions.held.keys().isdisjoint(other.partitions.held)
            assert other.partitions.held
    assert sorted(sandbox.rows()) == list(range(2 * MESSAGES))


def test_a_backlog_of_one_partition_is_not_lent(sandbox: Sandbox) -> None:
    publish(sandbox, range(MESSAGES), keys=1)
    with running(sandbox) as runner:
        wait_until(lambda: len(sandbox.rows()) == MESSAGES, SECONDS)
        assert not runner.is_helped
    assert sandbox.rows() == list(range(MESSAGES))
    assert applied(sandbox, HELPER) == 0


def test_few_messages_are_not_lent(sandbox: Sandbox) -> None:
    with running(sandbox) as runner:
        wait_until(lambda: holds_all(runner), SECONDS)
        for n in range(40):
            publish(sandbox, range(5 * n, 5 * (n + 1)))
        wait_until(lambda: len(sandbox.rows()) == 200, SECONDS)
    assert applied(sandbox, HELPER) == 0


def help_alone(sandbox: Sandbox) -> None:
    """Lend the helper all partitions, with no main lane, and return when it gives back."""
    lent = [(sandbox.topic.name, number) for number in range(PARTITIONS)]
    ours, lender = FORK.Pipe()
    with ours, lender:
        HelperRunner(sandbox.consumer, lent, stop=threading.Event(), lender=lender, accept_loss=False).run()


def test_slow_batches_are_a_backlog_too(sandbox: Sandbox) -> None:
    """Each full batch takes longer than a helper without one would stay."""
    publish(sandbox, range(40), keys=1)
    sandbox.slow = dict.fromkeys([5, 15, 25], math.ceil(CALM_SECONDS) + 1)
    help_alone(sandbox)
    assert sandbox.rows() == list(range(40))


def test_a_helper_that_has_given_back_shows_no_lag(sandbox: Sandbox) -> None:
    """The helper's process lives on, and another one shows the lag of these partitions."""
    publish(sandbox, range(40))
    help_alone(sandbox)
    assert len(sandbox.rows()) == 40
    labels = {"consumer": sandbox.consumer.name, "topic": sandbox.topic.name}
    lags = [REGISTRY.get_sample_value(LAG, {**labels, "partition": str(number)}) for number in range(PARTITIONS)]
    assert lags == [None] * PARTITIONS
