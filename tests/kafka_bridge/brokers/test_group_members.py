"""Who serves a group: a broker that does not answer is not taken for a group without members."""

import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event
from typing import Any, Final

import pytest
from confluent_kafka import Consumer, ConsumerGroupState
from django.conf import settings

from deploy.embedded import Stack
from deploy.embedded.kafka import Broker
from deploy.embedded.waiting import wait_until
from kafka_bridge.brokers import client, cluster_state, topic_admin
from kafka_bridge.brokers.group_members import Groups, describe
from kafka_bridge.events.topics import Topic

TOPIC: Final = Topic(name="served", partitions=1)
SERVED: Final = [f"served-{number}" for number in range(10)]
UNHEARD_OF: Final = "unheard-of"
STABLE, EMPTY = ConsumerGroupState.STABLE, ConsumerGroupState.EMPTY


@pytest.mark.parametrize(
    ("groups", "lately", "expected"),
    [
        (Groups({"g": ["h"]}, {}, is_complete=False), (), {"g": ["h"]}),
        (Groups({}, {"g": EMPTY}, is_complete=False), (), {"g": []}),
        (Groups({}, {"g": STABLE}, is_complete=True), (), {}),
        (Groups({}, {}, is_complete=True), (), {"g": []}),
        (Groups({}, {}, is_complete=False), (), {}),
        (Groups({}, {}, is_complete=True), ("g",), {}),
    ],
)
def test_only_a_coordinator_says_that_a_group_is_empty(
    groups: Groups, lately: tuple[str, ...], expected: dict[str, list[str]]
) -> None:
    assert groups.members(["g"], lately=lately) == expected


@pytest.mark.chaos
@pytest.mark.alone  # it is about moments: 0.2 s in which a broker is slow
def test_groups_of_a_dead_coordinator_are_not_unattended(cluster: Stack) -> None:
    """A broker that is slow answers after the dead one was given up, as on a busy machine."""
    topic_admin.create_topics([TOPIC])
    cluster_state.forget()
    never_there: dict[str, list[str]] = {group: [] for group in [*SERVED, UNHEARD_OF]}
    wait_until(lambda: members() == never_there, 30, what="the brokers say that there is no group")
    with served():
        wait_until(lambda: served_groups() == set(SERVED), 60)
        for _ in range(2):
            coordinator = busiest(cluster)
            slow, _ = (broker for broker in cluster.kafka.brokers if broker is not coordinator)
            coordinator.kill()
            until = time.monotonic() + 12  # the session of the broker, an election, and loading
            while time.monotonic() < until:
                assert not {group for group, hosts in members_while_slow(slow).items() if not hosts} & set(SERVED)
            coordinator.restart()
            wait_until(lambda: served_groups() == set(SERVED), 60)
    wait_until(lambda: {group for group, hosts in members().items() if not hosts} == {*SERVED, UNHEARD_OF}, 60)


def members() -> dict[str, list[str]]:
    state = cluster_state.fetch([*SERVED, UNHEARD_OF], [])
    return state.members if state else {}


def served_groups() -> set[str]:
    return {group for group, hosts in members().items() if hosts}


def members_while_slow(broker: Broker) -> dict[str, list[str]]:
    with ThreadPoolExecutor(1) as pool:
        broker.pause()
        looking = pool.submit(members)
        time.sleep(0.2)  # how much later than the others the broker answers
        broker.resume()
        return looking.result()


def busiest(cluster: Stack) -> Broker:
    """Return the broker that coordinates most groups."""
    listed: list[Any] = describe(client.admin(), 10).result()  # the stubs declare every field as None
    counted = Counter(group.broker.id for group in listed if group.id in SERVED)
    node = counted.most_common(1)[0][0]
    return next(broker for broker in cluster.kafka.brokers if broker.node == node)


@contextmanager
def served() -> Iterator[None]:
    """Run a consumer for each group of SERVED, in the block; all have their partition then.

    Kafka keeps a new group as an empty one until its first rebalance is done. If its coordinator
    dies before, the next one rightly says that the group is empty.
    """
    config = {**settings.KAFKA_CLIENT_CONFIG, "session.timeout.ms": 40_000}
    consumers = [Consumer({**config, "group.id": group}, logger=client.client_logger) for group in SERVED]
    done, assigned = Event(), [Event() for _ in consumers]

    def serve(consumer: Consumer, has_partition: Event) -> None:
        consumer.subscribe([TOPIC.name], on_assign=lambda *_: has_partition.set())
        while not done.is_set():
            consumer.poll(0.2)
        consumer.close()

    with ThreadPoolExecutor(len(consumers)) as pool:
        running = [pool.submit(serve, *one) for one in zip(consumers, assigned, strict=True)]
        try:
            assert all(one.wait(60) for one in assigned)
            yield
        finally:
            done.set()
    for one in running:
        one.result()
