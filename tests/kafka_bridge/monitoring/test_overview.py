import time
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone

from deploy.embedded.waiting import wait_until
from kafka_bridge.brokers import client as broker_client
from kafka_bridge.brokers import cluster_state
from kafka_bridge.models import OutboxMessage
from kafka_bridge.monitoring import overview
from kafka_bridge.monitoring.overview import Overview
from kafka_bridge.monitoring.system_state import GroupState
from kafka_bridge.publishing import outbox
from tests.support import transactions
from tests.support.monitoring import SilentAdmin, dead_letter, problems_of
from tests.support.sandbox import SECONDS, Sandbox


def group_of(seen: Overview, sandbox: Sandbox) -> GroupState:
    return next(group for group in seen.groups if group.consumer == sandbox.consumer.name)


def members(sandbox: Sandbox) -> int | None:
    return group_of(overview.take(), sandbox).members


def test_stopped_consumer_is_named_with_its_lag(known: Sandbox) -> None:
    """Its lag grows, then shrinks when it runs."""
    name = known.consumer.name
    known.publish(1, 2, 3)
    wait_until(lambda: members(known) is not None, SECONDS)  # a broker that has just started
    stopped = overview.take()
    assert (group_of(stopped, known).members, group_of(stopped, known).lag) == (0, 3)
    assert f"Nadie atiende «{name}». Le faltan 3 mensajes. Inicia manage.py run_consumer {name}." in problems_of(
        stopped
    )
    with known.running(known.runner()):
        wait_until(lambda: len(known.rows()) == 3, SECONDS)
        running = overview.take()
    assert (group_of(running, known).members, group_of(running, known).lag) == (1, 0)
    assert f"«{name}»" not in problems_of(running)
    known.publish(4, 5)
    wait_until(lambda: members(known) == 0, SECONDS)
    behind = group_of(overview.take(), known)
    assert behind.lag == 2
    assert behind.applied == 3


def test_wait_is_that_of_the_oldest_message(known: Sandbox) -> None:
    known.publish(1, key="same")
    with known.running(known.runner()):
        wait_until(lambda: known.rows() == [1], SECONDS)
    known.publish(2, 3, key="same")
    seen = overview.take(timezone.now() + timedelta(minutes=5))
    assert 295 < (group_of(seen, known).waiting_s or 0) < 400


def test_topics_are_as_the_brokers_have_them(known: Sandbox) -> None:
    known.publish(1, 2, 3)
    topic = next(topic for topic in overview.take().topics if topic.name == known.topic.name)
    assert (len(topic.partitions), topic.messages, topic.retention_ms) == (2, 3, known.topic.retention_ms)
    assert all(partition.leader >= 0 and partition.in_sync == partition.replicas == 1 for partition in topic.partitions)


def test_late_outbox_and_dead_letters_are_problems(known: Sandbox) -> None:
    OutboxMessage.objects.create(
        event_id=known.happened(1).id,
        topic="t",
        partition=0,
        key=b"k",
        value=b"{}",
        headers=[],
        shard=0,
        created_at=timezone.now() - timedelta(minutes=3),
    )
    dead_letter(known.consumer.name)
    text = problems_of(overview.take())
    assert "El outbox tiene 1 mensajes; el más antiguo espera hace 3 min." in text
    assert "run_outbox_relay" in text
    assert f"«{known.consumer.name}» tiene 1 mensajes no procesados." in text


@pytest.mark.slow
def test_an_open_transaction_is_named(known: Sandbox) -> None:
    later = timedelta(minutes=5)
    with known.running(known.runner()):
        known.publish(1, key="same")
        wait_until(lambda: known.rows() == [1], SECONDS)
        with transactions.open_transaction(known.happened(2, key="same")) as producer:
            known.publish(3, key="same")
            partition = known.topic.partition_for("same", priority=False)
            wait_until(lambda: "transacción abierta" in problems_of(overview.take(timezone.now() + later)), SECONDS)
            text = problems_of(overview.take(timezone.now() + later))
            assert f"transacción abierta en {known.topic.name}[{partition}] desde el offset 1" in text
            assert "base de datos" not in text
            producer.commit_transaction(SECONDS)
        wait_until(lambda: group_of(overview.take(), known).lag == 0, SECONDS)
    assert "transacción abierta" not in problems_of(overview.take(timezone.now() + later))


@pytest.mark.slow
def test_a_recreated_topic_is_named(known: Sandbox) -> None:
    known.publish(1)
    with known.running(known.runner()):
        wait_until(lambda: known.rows() == [1], SECONDS)
    known.recreate_topic()
    assert group_of(overview.take(), known).recreated == [known.topic.name]
    with known.running(known.runner()):
        wait_until(lambda: not group_of(overview.take(), known).recreated, SECONDS)


@pytest.mark.slow
@pytest.mark.parametrize(("on_brokers", "problem"), [(2, "tiene 2 particiones y se declararon 4."), (0, "Falta")])
def test_missing_partitions_are_named(
    make_sandbox: Callable[..., Sandbox], table: None, on_brokers: int, problem: str
) -> None:
    sandbox = make_sandbox(partitions=4, on_brokers=on_brokers)
    outbox.add(*[sandbox.happened(n) for n in range(40)])
    text = problems_of(overview.take(timezone.now() + timedelta(minutes=2)))
    assert f"{sandbox.topic.name}[3]" in text
    assert problem in text
    assert "manage.py add_partitions" in text
    assert "run_outbox_relay" not in text


def test_unanswered_values_are_unknown(known: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    known.publish(1)
    silent = SilentAdmin(broker_client.admin())
    monkeypatch.setattr(broker_client, "admin", lambda: silent)
    monkeypatch.setattr(cluster_state._admin_clients, "find_answering", lambda: True)
    began = time.monotonic()
    seen = overview.take()
    assert time.monotonic() - began < 1.2
    assert seen.brokers
    assert {(group.members, group.lag, group.waiting_s) for group in seen.groups} == {(None, None, None)}
    assert "Kafka responde a medias: no dijo hasta dónde llegan" in problems_of(seen)
    assert seen.problems[0].grave
