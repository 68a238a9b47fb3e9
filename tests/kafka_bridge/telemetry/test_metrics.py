import pytest
from prometheus_client import REGISTRY

from deploy.embedded.waiting import wait_until
from kafka_bridge import conf
from kafka_bridge.consuming import observer
from kafka_bridge.models import DeadLetter
from kafka_bridge.telemetry import metrics, pulse
from tests.support.prometheus import counted, get, samples
from tests.support.sandbox import SECONDS, Sandbox

LABELS = {"consumer", "lane", "topic", "partition", "group", "reason", "task", "state", "way", "process", "work"}


@pytest.mark.parametrize("declared", metrics.DECLARED, ids=lambda declared: declared.name)
def test_each_metric_is_explained_and_bounded(declared: metrics.Declared) -> None:
    assert len(declared.explanation) > 20
    assert set(declared.labels) <= LABELS


def test_all_exposed_metrics_are_declared() -> None:
    """Also those that a module creates without declaring them."""
    exposed = {family.name for family in REGISTRY.collect() if family.name.startswith(f"{conf.PREFIX}_")}
    assert exposed <= {declared.name.removesuffix("_total") for declared in metrics.DECLARED}


def test_consumer_counts_messages_and_lag(sandbox: Sandbox, port: int) -> None:
    sandbox.poison = {2}
    sandbox.publish(1, 2, 3, key="same")
    name, labels = sandbox.consumer.name, {"consumer": sandbox.consumer.name, "lane": "main"}
    with sandbox.running(sandbox.runner()):
        wait_until(lambda: counted(metric("consumer_messages_total"), **labels) == 3, SECONDS)
        wait_until(lambda: pulse.pulses[name].working, SECONDS)
        none = [0] * sandbox.topic.partitions
        wait_until(lambda: [*lags(port, name).values()] == none, SECONDS)  # the next rounds have seen each partition
        assert get(f"http://127.0.0.1:{port}/health/ready")[0] == 200
    found = samples(get(f"http://127.0.0.1:{port}/metrics")[1])
    assert found[metric("consumer_dead_letters_total"), (("consumer", name), ("reason", "handler"))] == 1
    assert found[metric("consumer_batch_seconds_count"), (("consumer", name), ("lane", "main"))] >= 1


def metric(name: str) -> str:
    return f"{conf.PREFIX}_{name}"


def lags(port: int, consumer: str) -> dict[str, float]:
    """Return the lag of one consumer, by partition."""
    found = samples(get(f"http://127.0.0.1:{port}/metrics")[1])
    return {
        dict(labels)["partition"]: value
        for (name, labels), value in found.items()
        if name == metric("consumer_lag_messages") and dict(labels)["consumer"] == consumer
    }


def test_counters_start_at_zero() -> None:
    """`increase()` ignores the first value of a counter."""
    lane = observer.LaneObserver("never-run", "")
    try:
        labels = {"consumer": "never-run", "lane": "main"}
        assert REGISTRY.get_sample_value(metric("consumer_outages_total"), labels) == 0
        for reason in DeadLetter.Reason.values:
            labels = {"consumer": "never-run", "reason": reason}
            assert REGISTRY.get_sample_value(metric("consumer_dead_letters_total"), labels) == 0
        assert REGISTRY.get_sample_value(metric("published_total"), {"way": "outbox"}) is not None
    finally:
        lane.pulse.end()
