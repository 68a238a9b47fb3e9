"""Which process needs which rights, from the registered events and consumers.

| process | rights |
|---|---|
| `web` | publishes, and shows every topic and group in the admin |
| `relay` | publishes what is in the outbox |
| `worker` | asks where topics end |
| `consumer-NAME` | reads its topics, in the groups of its lanes |
| `prepare` | creates topics, adds partitions, compares topics with their declarations |

Celery Beat does not talk to Kafka. In Kafka each of Read, Write and Alter includes Describe.
"""

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from kafka_bridge.brokers import client, reader, topic_admin
from kafka_bridge.consuming.handlers import Consumer, consumers, group_id

TOPIC: Final = "topic"
GROUP: Final = "group"


class Right(NamedTuple):
    """Operations on one topic or group, by Kafka's names."""

    kind: str  # TOPIC or GROUP
    name: str
    operations: tuple[str, ...]


def by_process() -> dict[str, list[Right]]:
    """Return the rights that each process needs."""
    topics = [topic.name for topic in topic_admin.declared_topics()]
    groups = [group for _, consumer in sorted(consumers.items()) for group in _groups(consumer)]
    return {
        "web": [
            *_rights(TOPIC, topics, "Write", "Read", "DescribeConfigs"),
            *_rights(GROUP, groups, "Describe"),
            *_clients(),
        ],
        "relay": _rights(TOPIC, topics, "Write"),
        "worker": [*_rights(TOPIC, topics, "Describe"), *_clients()],
        **{f"consumer-{name}": [*_of_consumer(consumer), *_clients()] for name, consumer in sorted(consumers.items())},
        "prepare": [*_rights(TOPIC, topics, "Create", "Alter", "DescribeConfigs"), *_clients()],
    }


def _of_consumer(consumer: Consumer) -> Iterator[Right]:
    yield from _rights(TOPIC, [topic.name for topic in consumer.topics], "Read")
    yield from _rights(GROUP, _groups(consumer), "Read")


def _groups(consumer: Consumer) -> list[str]:
    return [group_id(consumer.name, lane) for lane in ("", *consumer.lanes)]


def _clients() -> list[Right]:
    """Return the rights on groups that clients name and never join: librdkafka looks them up."""
    return _rights(GROUP, [client.WATERMARKS_GROUP, reader.GROUP], "Describe")


def _rights(kind: str, names: Iterable[str], *operations: str) -> list[Right]:
    return [Right(kind, name, operations) for name in names]
