"""Topics that a lane cannot read: missing, or without rights. /health/ready reports them."""

from collections.abc import Iterable

from confluent_kafka import KafkaError

from kafka_bridge.brokers import access
from kafka_bridge.diagnosis import MISSING, NO_RIGHTS, concerns_topic

GROUP = ""  # the place of an error that names no topic


class Obstacles:
    """What Kafka refuses this lane, whose Kafka group is `group`.

    The client reports a refusal only once. It is kept here until the topic is read again: a message
    arrives, or the client reports the end of a partition.
    """

    def __init__(self, group: str) -> None:
        self._group = group
        self._by_topic: dict[str, str] = {}

    def texts(self) -> list[str]:
        """Return each obstacle in a sentence."""
        return sorted(self._by_topic.values())

    def refused(self, topic: str, error: KafkaError, partition: int | None = None) -> None:
        """Note that Kafka refuses a topic or the group; other errors are no obstacle."""
        if concerns_topic(error):
            place = topic if error.code() != KafkaError.GROUP_AUTHORIZATION_FAILED else GROUP
            self._by_topic[place] = self._sentence(place, error, partition)

    def is_read(self, topics: Iterable[str]) -> None:
        """Note that these topics are read."""
        for topic in topics:
            self._by_topic.pop(topic, None)

    def is_described(self, topics: Iterable[str]) -> None:
        """Note that Kafka describes these topics, of which this member holds no partition."""
        self.is_read(topics)

    def joined(self) -> None:
        """Note that the group has accepted this member."""
        self._by_topic.pop(GROUP, None)

    def _sentence(self, topic: str, error: KafkaError, partition: int | None) -> str:
        place = topic or "the consumer group"
        if partition is not None and error.code() in MISSING:
            place = f"{topic}[{partition}]"
        if error.code() in NO_RIGHTS:
            resource = f"topic {topic}" if topic else f"group {self._group}"
            return f"{place} may not be read: {access.lacking(error, 'Read', resource)}"
        return f"{place} does not exist ({error.name()}): run manage.py create_topics"
