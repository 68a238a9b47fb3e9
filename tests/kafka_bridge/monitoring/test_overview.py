import time
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
