"""Mistakes of operators that fit into a running system; others are in tests/chaos/conditions."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import AdminClient

from deploy.embedded.waiting import wait_until
from mamochi_site.local.system import CHECKOUT, CONSUMERS, System
from tests.chaos.faults.plan import Context, Plan

BEAT: Final = "celery-beat"
EMPTY_S: Final = 60.0  # until Kafka notices that all members of a group were killed


def plans(context: Context) -> list[Plan]:
    """Return the mistakes that anybody may make while everything runs."""
    return [
        Plan("two Beats", partial(two_beats, context.system), (20.0, 30.0)),
        Plan("offsets of a group reset", partial(offsets_reset, context)),
    ]


@contextmanager
def two_beats(system: System) -> Iterator[str]:
    """Start a second Beat, and stop it."""
    beat = system.applications[BEAT]
    second = system.stack.run(f"{BEAT}-2", beat.argv, cwd=CHECKOUT, env=beat.env)
    yield second.name
    second.stop()


@contextmanager
def offsets_reset(context: Context) -> Iterator[str]:
    """Kill all members of a consumer, and let its group in Kafka begin at the first message."""
    consumer = context.chance.choice(CONSUMERS)
    stack = context.system.stack
    members = sorted(name for name in context.system.applications if name.startswith(f"consumer-{consumer}"))
    context.killed.update(members)
    for name in members:
        stack.processes[name].kill()
    reset_group(stack.kafka.url, consumer, 0)
    yield consumer
    for name in members:
        stack.restart(name)
    context.killed.difference_update(members)


def reset_group(servers: str, consumer: str, offset: int) -> None:
    """Set the offsets of a consumer's group, as kafka-consumer-groups.sh, once it has no member.

    A group has the name of its consumer.
    """
    admin: Any = AdminClient({"bootstrap.servers": servers, "log_level": 0})
    [known] = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(consumer)]).values()
    moved = [TopicPartition(at.topic, at.partition, offset) for at in known.result().topic_partitions]
    request = ConsumerGroupTopicPartitions(consumer, moved)
    wait_until(lambda: _is_done(admin, request), EMPTY_S, what=f"the group {consumer} has no member", interval=0.5)


def _is_done(admin: Any, request: ConsumerGroupTopicPartitions) -> bool:
    [future] = admin.alter_consumer_group_offsets([request]).values()
    return future.exception() is None and not any(at.error for at in future.result().topic_partitions)
