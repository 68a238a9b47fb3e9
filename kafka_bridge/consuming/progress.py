"""How far a consumer has come, compared with where the topics end: what a week's closing and a notice wait for."""

from kafka_bridge.brokers import client, topic_admin, watermarks
from kafka_bridge.models import ConsumerOffset


def end_offsets(topic: str, timeout: float = client.TIMEOUT_SECONDS) -> dict[int, int]:
    """Where each partition of the topic ends now: everything accepted before lies below. Raises KafkaException."""
    ends = watermarks.end_offsets(topic_admin.partitions_of(topic, timeout), timeout)
    return {partition: offset for (_, partition), offset in ends.items()}


def consumer_offsets(consumer: str, topic: str) -> dict[int, int]:
    """The next offset of each partition that the consumer will apply, as the database has it."""
    rows = ConsumerOffset.objects.filter(consumer=consumer, topic=topic)
    return dict(rows.values_list("partition", "next_offset"))


def topic_uuid(topic: str) -> str:
    """Which topic it is now that bears the name: one deleted and made anew has another id. Raises KafkaException."""
    return topic_admin.topic_uuids([topic])[topic]


def behind(consumer: str, topic: str, ends: dict[int, int], topic_uuid: str) -> dict[int, int]:
    """How many messages each partition still lacks until the consumer has reached `ends`; empty when it has.

    `topic_uuid` says which topic's ends they are. A partition that the consumer never held, or held of an earlier topic
    of that name, counts from 0.
    """
    rows = ConsumerOffset.objects.filter(consumer=consumer, topic=topic, topic_uuid=topic_uuid)
    applied = dict(rows.values_list("partition", "next_offset"))
    return {
        partition: end - applied.get(partition, 0) for partition, end in ends.items() if applied.get(partition, 0) < end
    }
