"""The demo's observer: the progress of the consumers, and the e-mails that have arrived."""

import threading
from collections import defaultdict
from typing import Final

from confluent_kafka import KafkaException
from django.db import connection

from deploy.embedded.mailbox import Mailbox
from kafka_bridge.brokers import watermarks
from kafka_bridge.brokers.topic_admin import declared_topics
from kafka_bridge.consuming.handlers import consumers
from kafka_bridge.events.topics import PRIORITY_PARTITION, Partition, Topic
from kafka_bridge.models import ConsumerOffset
from mamochi_site.local.demo.scene import Scene

EVERY_S: Final = 0.5


def observe(scene: Scene, mailbox: Mailbox, stop: threading.Event) -> None:
    """Keep lag and e-mails of the scene up to date until `stop` is set.

    While no broker answers, the last known lag stays.
    """
    partitions = declared_partitions()
    while not stop.wait(EVERY_S):
        scene.mails = [(mail.to, mail.subject) for mail in mailbox.mails()]
        try:
            scene.lag, scene.applied = progress(partitions)
        except KafkaException:
            continue
    connection.close()


def declared_partitions() -> list[Partition]:
    """Return every partition of every declared topic."""
    return [(topic.name, number) for topic in declared_topics() for number in range(topic.partitions)]


def progress(partitions: list[Partition]) -> tuple[dict[str, int], dict[str, int]]:
    """Return lag and number of messages applied, by consumer and lane (such as `aprobacion paid`).

    Raises KafkaException.
    """
    ends = watermarks.end_offsets(partitions)
    applied_to = {(row.consumer, row.topic, row.partition): row.next_offset for row in ConsumerOffset.objects.all()}
    lag: dict[str, int] = defaultdict(int)
    applied: dict[str, int] = defaultdict(int)
    for consumer in consumers.values():
        for topic in consumer.topics:
            for number in range(topic.partitions):
                done = applied_to.get((consumer.name, topic.name, number), 0)
                label = _label(consumer.name, topic, number)
                lag[label] += ends[topic.name, number] - done
                applied[label] += done
    return dict(lag), dict(applied)


def _label(consumer: str, topic: Topic, partition: int) -> str:
    return f"{consumer} {topic.priority_lane}" if topic.priority_lane and partition == PRIORITY_PARTITION else consumer
