"""The state of each consumer group, from the offsets in the database and the answers of Kafka."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from django.utils.translation import gettext

from kafka_bridge.brokers.cluster_state import ClusterState
from kafka_bridge.consuming.handlers import Consumer, consumers, group_id
from kafka_bridge.events.topics import PRIORITY_PARTITION, Partition
from kafka_bridge.models import ConsumerOffset
from kafka_bridge.monitoring.system_state import GroupState, Progress


@dataclass(frozen=True)
class DeadLetterCount:
    """Dead letters of one consumer: those that are open, and those of the last hour."""

    open: int = 0
    last_hour: int = 0


@dataclass(frozen=True, kw_only=True)
class Observation:
    """What one overview has read from the database and from Kafka.

    `cluster` is None if Kafka does not answer.
    """

    offsets: list[ConsumerOffset]
    cluster: ClusterState | None
    dead_letters: dict[str, DeadLetterCount]
    now: datetime

    def group_states(self) -> list[GroupState]:
        """Return the state of every lane of every consumer."""
        return [self._group_state(consumer, lane) for consumer, lane in _lanes()]

    def _group_state(self, consumer: Consumer, lane: str) -> GroupState:
        rows = [
            row
            for row in self.offsets
            if row.consumer == consumer.name and _is_of_lane(consumer, (row.topic, row.partition), lane)
        ]
        held = {(row.topic, row.partition) for row in rows}
        never_held = [at for at in self._partitions(consumer) - held if _is_of_lane(consumer, at, lane)]
        progress = [*map(self._progress, rows), *map(self._unbegun, never_held)]
        group = group_id(consumer.name, lane)
        hosts = self.cluster.members.get(group) if self.cluster else None
        dead_letters = self.dead_letters.get(consumer.name, DeadLetterCount())
        moved_at = max((row.updated_at for row in rows), default=None)
        return GroupState(
            group=group,
            consumer=consumer.name,
            lane=lane,
            members=None if hosts is None else len(hosts),
            hosts=sorted(set(hosts or [])),
            progress=sorted(progress, key=lambda one: (one.topic, one.partition)),
            last_batch=moved_at.astimezone(UTC).isoformat() if moved_at else None,
            open_dead_letters=dead_letters.open,
            recent_dead_letters=dead_letters.last_hour,
            open_transactions=list(self._open_transactions(rows)),
            recreated=sorted({row.topic for row in rows if self._is_recreated(row)}),
            still_s=max(0.0, (self.now - moved_at).total_seconds()) if moved_at else 0.0,
        )

    def _is_recreated(self, row: ConsumerOffset) -> bool:
        uuids = self.cluster.uuids if self.cluster else {}
        return uuids.get(row.topic, row.topic_uuid) != row.topic_uuid

    def _open_transactions(self, rows: list[ConsumerOffset]) -> Iterator[str]:
        """Yield where these offsets stand at an open transaction: nothing behind is handed out."""
        if self.cluster is None:
            return
        for row in rows:
            at = row.topic, row.partition
            stable, (_, end) = self.cluster.stable.get(at), self.cluster.bounds.get(at, (0, 0))
            if stable is not None and row.next_offset == stable < end and not self._is_recreated(row):
                yield gettext("%(topic)s[%(partition)d] from offset %(offset)d on") % {
                    "topic": row.topic,
                    "partition": row.partition,
                    "offset": stable,
                }

    def _partitions(self, consumer: Consumer) -> set[Partition]:
        """Return the partitions that the consumer's topics declare, and those that Kafka has."""
        declared = {(topic.name, number) for topic in consumer.topics for number in range(topic.partitions)}
        return declared | (self.cluster.bounds.keys() if self.cluster else set())

    def _progress(self, row: ConsumerOffset) -> Progress:
        at = row.topic, row.partition
        if self.cluster is None or at not in self.cluster.bounds:
            return Progress(*at, row.next_offset, lag=None, waiting_s=None)
        if self._is_recreated(row):
            return self._unbegun(at)
        lag = max(0, self.cluster.bounds[at][1] - row.next_offset)
        if lag == 0:
            return Progress(*at, row.next_offset, lag, waiting_s=0.0)
        since = self.cluster.first_waiting.get((*at, row.next_offset))
        waiting_s = None if since is None else max(0.0, self.now.timestamp() - since)
        return Progress(*at, row.next_offset, lag, waiting_s)

    def _unbegun(self, at: Partition) -> Progress:
        """Return the progress in a partition without an applied message.

        The consumer has never held it, or the topic was deleted and created again. It will start at
        the oldest message.
        """
        if self.cluster is None or at not in self.cluster.bounds:
            return Progress(*at, next_offset=0, lag=None, waiting_s=None)
        low, end = self.cluster.bounds[at]
        return Progress(*at, next_offset=low, lag=end - low, waiting_s=None if end > low else 0.0)


def group_ids() -> list[str]:
    """Return the consumer group of every lane of every consumer."""
    return [group_id(consumer.name, lane) for consumer, lane in _lanes()]


def _lanes() -> Iterator[tuple[Consumer, str]]:
    """Yield each consumer with its priority lanes, then with its main lane (an empty string)."""
    for _, consumer in sorted(consumers.items()):
        for lane in [*consumer.lanes, ""]:
            yield consumer, lane


def _is_of_lane(consumer: Consumer, at: Partition, lane: str) -> bool:
    """Return True if the consumer reads this partition in this lane."""
    topic, partition = at
    lanes = {topic.name: topic.priority_lane for topic in consumer.topics}
    if topic not in lanes:
        return False
    return lane == (lanes[topic] if partition == PRIORITY_PARTITION else "")
