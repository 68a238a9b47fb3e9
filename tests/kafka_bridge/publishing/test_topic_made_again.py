"""A topic that is deleted and made again, with other leaders, gets its events without a restart."""

from collections.abc import Callable

import pytest
from confluent_kafka.admin import NewTopic

from deploy.embedded import Stack
from deploy.embedded.waiting import wait_until
from kafka_bridge.brokers import client
from kafka_bridge.events.codec import encode
from kafka_bridge.models import OutboxMessage
from kafka_bridge.publishing import producer, relay
from tests.support.consumers import running
from tests.support.sandbox import SECONDS, Sandbox


@pytest.mark.chaos
@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("short_deadline")
def test_the_new_leader_is_found(cluster: Stack, make_sandbox: Callable[..., Sandbox]) -> None:
    """The client has seen a later leader of the old topic than the first leader of the new one."""
    sandbox = make_sandbox(partitions=1, on_brokers=0)
    make(sandbox, on=[1, 2])
    cluster.kafka.brokers[0].restart()
    wait_until(lambda: leader(sandbox) == 2, SECONDS)
    wait_until(lambda: is_acknowledged(sandbox), SECONDS)
    sandbox.delete_topic()
    make(sandbox, on=[3, 1])
    sandbox.publish(1)
    assert OutboxMessage.objects.exists()  # otherwise the client has followed, and this test tells nothing
    with running(relay.run):
        wait_until(lambda: not OutboxMessage.objects.exists(), SECONDS)
    assert is_acknowledged(sandbox)


def make(sandbox: Sandbox, on: list[int]) -> None:
    """Create the topic with its replicas on these brokers; the first of them leads."""
    topic = NewTopic(sandbox.topic.name, 1, replica_assignment=[on], config={"min.insync.replicas": "1"})
    client.admin().create_topics([topic])[topic.topic].result()
    wait_until(lambda: leader(sandbox) == on[0], SECONDS)


def leader(sandbox: Sandbox) -> int | None:
    found = client.admin().list_topics(sandbox.topic.name, timeout=10).topics[sandbox.topic.name].partitions
    return found[0].leader if found else None


def is_acknowledged(sandbox: Sandbox) -> bool:
    return not producer.process_producer().send([encode(sandbox.happened(0))])
