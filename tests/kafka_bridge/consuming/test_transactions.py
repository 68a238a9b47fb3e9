"""Others write to a topic in transactions: markers are passed, and an open one is waited for."""

from django.db import connection
from django.test.utils import CaptureQueriesContext

from deploy.embedded.waiting import wait_until
from kafka_bridge.consuming import progress
from tests.support import transactions
from tests.support.sandbox import SECONDS, Sandbox


def lacking(sandbox: Sandbox) -> dict[int, int]:
    name = sandbox.topic.name
    return progress.remaining(sandbox.consumer.name, name, progress.topic_ends(name))


def test_a_committed_transaction_leaves_no_lag(sandbox: Sandbox) -> None:
    with sandbox.running():
        transactions.commit(sandbox.happened(1))
        wait_until(lambda: sandbox.rows() == [1] and not lacking(sandbox), SECONDS)
        transactions.commit(sandbox.happened(2))
        wait_until(lambda: not lacking(sandbox), SECONDS)
    assert sandbox.rows() == [1, 2]


def test_an_aborted_transaction_leaves_no_lag(sandbox: Sandbox) -> None:
    with sandbox.running():
        transactions.abort(sandbox.happened(1), sandbox.happened(2))
        wait_until(lambda: not lacking(sandbox), SECONDS)
    assert sandbox.rows() == []


def test_markers_are_passed_before_a_start(sandbox: Sandbox) -> None:
    transactions.commit(sandbox.happened(1))
    transactions.abort(sandbox.happened(2))
    for _ in range(2):
        with sandbox.running():
            wait_until(lambda: not lacking(sandbox), SECONDS)
    assert sandbox.rows() == [1]


def test_an_open_transaction_is_waited_for(sandbox: Sandbox) -> None:
    """Two accepted events lie behind it: they are not applied, and they count as remaining."""
    with sandbox.running(), transactions.open_transaction(sandbox.happened(1, key="one")) as producer:
        sandbox.publish(2, 3, key="one")
        sandbox.publish(4, key="two")
        at = sandbox.topic.name, sandbox.topic.partition_for("one", priority=False)
        wait_until(lambda: lacking(sandbox).get(at[1], 0) >= 3, SECONDS)
        assert progress.open_transactions([at]) == {at: 0}
        producer.commit_transaction(SECONDS)
        wait_until(lambda: not lacking(sandbox), SECONDS)
        assert progress.open_transactions([at]) == {}
    assert sorted(sandbox.rows()) == [1, 2, 3, 4]


def test_an_idle_consumer_writes_nothing(sandbox: Sandbox) -> None:
    transactions.commit(sandbox.happened(1))
    runner = sandbox.runner()
    runner.subscribe()
    wait_until(lambda: runner.step() is False and not lacking(sandbox), SECONDS)
    with CaptureQueriesContext(
        connection,
    ) as queries:
        for _ in range(20):
            runner.step()
    assert not queries.captured_queries
    runner.kafka.close()
