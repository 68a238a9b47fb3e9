"""The partitions that one lane holds, and the offset at which each of them continues.

A partition that the group gives to this member is `unpositioned` until its offset is read from the
database. Only then is it assigned to the client, at that offset, and `held`. There is no other way
to set a position: `seek` fails without end once librdkafka has reported a lost offset.
"""

import logging
import time
from collections.abc import Iterable, Mapping
from typing import Final

from confluent_kafka import Consumer as KafkaConsumer
from confluent_kafka import TopicPartition
from django.db import DatabaseError, InterfaceError, connection

from kafka_bridge.brokers import trouble
from kafka_bridge.consuming.partitions import positions
from kafka_bridge.consuming.partitions.obstacles import Obstacles
from kafka_bridge.consuming.partitions.positions import Positions
from kafka_bridge.consuming.partitions.topic_watch import TopicWatch
from kafka_bridge.diagnosis import describe
from kafka_bridge.events.topics import PRIORITY_PARTITION, Partition, Topic

logger = logging.getLogger(__name__)

LOOK_SECONDS: Final = 10.0  # how long a restored backup may stay unnoticed by an idle consumer
POSITION_AGAIN_SECONDS: Final = 3.0  # between two looks at partitions that Kafka refused


class LanePartitions:
    """The partitions of one lane of a consumer.

    `topics`: those that the lane reads, by name. `group`: its Kafka group. `priority`: whether it
    is a priority lane. With `accept_loss`, messages that Kafka no longer has are skipped.
    """

    def __init__(  # noqa: PLR0913 - each argument is an independent fact about the lane
        self,
        kafka: KafkaConsumer,
        consumer: str,
        topics: Mapping[str, Topic],
        *,
        group: str,
        priority: bool,
        accept_loss: bool,
    ) -> None:
        self.kafka = kafka
        self.consumer = consumer
        self.topics = topics
        self.priority = priority
        self.accept_loss = accept_loss
        self.held: dict[Partition, int] = {}  # positioned partitions, with the next offset that we apply
        self.unpositioned: set[Partition] = set()  # of this member, not fetched until their offset is read
        self.reached: dict[Partition, int] = {}  # ends that the client reported; no message lies before them
        self.topic_uuids: dict[str, str] = {}
        self.obstacles = Obstacles(group)
        self.client_is_outdated = False  # it knew a topic that was recreated, and may never read the new one
        self._topic_watch = TopicWatch(topics)
        self._position_again_at = 0.0  # monotonic seconds: until then, refused partitions are not tried again
        self._look_again_at = time.monotonic() + LOOK_SECONDS

    def use(self, kafka: KafkaConsumer) -> None:
        """Begin again with another client, which has joined no group yet."""
        self.kafka = kafka
        self.client_is_outdated = False
        self.held.clear()
        self.unpositioned.clear()
        self.reached.clear()

    # What the group gives and takes

    def on_assign(self, kafka: KafkaConsumer, assigned: list[TopicPartition]) -> None:
        """Take the partitions; they are assigned to the client once their offsets are claimed.

        The database is not asked here: while it is down, this callback must not fail.
        """
        kafka.incremental_assign([])  # else the client would assign them itself, at Kafka's offsets
        ours = [at for at in map(_partition, assigned) if self._is_of_this_lane(at)]
        self.unpositioned.update(ours)
        self._position_again_at = 0.0
        self.obstacles.joined()
        trouble.over()
        logger.info("%s: assigned %s", self.consumer, names(ours))

    def _is_of_this_lane(self, partition: Partition) -> bool:
        topic, number = partition
        is_priority = bool(self.topics[topic].priority_lane) and number == PRIORITY_PARTITION
        return is_priority == self.priority

    def on_revoke(self, kafka: KafkaConsumer, revoked: list[TopicPartition]) -> None:
        """Give the partitions back.

        Kafka calls between batches, or while a batch waits out an outage, so no transaction is
        open. The next owner reads the offsets from the database.
        """
        partitions = list(map(_partition, revoked))
        if not self._release(partitions):
            # Else the client would unassign them itself. That fails for a partition that it was
            # never assigned, and `poll` would raise the error.
            kafka.incremental_unassign([])
        self.unpositioned.difference_update(partitions)
        logger.info("%s: gave back %s", self.consumer, names(partitions))

    # Where each partition continues

    def claim(self) -> Positions | None:
        """Return the positions of the unpositioned partitions; None if there is nothing to ask now.

        Raises what `positions.claim` raises.
        """
        if not self.unpositioned or time.monotonic() < self._position_again_at:
            return None
        return positions.claim(self.consumer, self.unpositioned, accept_loss=self.accept_loss)

    def assign(self, claimed: Positions) -> None:
        """Fetch the claimed partitions from their offsets on.

        A partition of which Kafka does not tell the ends (it is missing, it has no leader, or there
        are no rights to it) is tried again later and holds up no other.
        """
        self._note_uuids(claimed.topic_uuids)
        for partition, offset in claimed.offsets.items():
            self.assign_at(partition, offset)
        for (topic, number), error in claimed.refused.items():
            logger.warning("%s: %s[%d] cannot be read: %s", self.consumer, topic, number, error.str())
            self.obstacles.refused(topic, error, number)
        self._position_again_at = time.monotonic() + POSITION_AGAIN_SECONDS if claimed.refused else 0.0

    def assign_at(self, partition: Partition, offset: int) -> None:
        """Fetch a partition that is not assigned to the client from this offset on.

        Messages that were fetched before it was released are dropped by the client.
        """
        self.kafka.incremental_assign([TopicPartition(*partition, offset)])
        self.held[partition] = offset
        self.unpositioned.discard(partition)

    def _note_uuids(self, uuids: Mapping[str, str]) -> None:
        """Note the ids of topics; after a change the partitions and the client begin again.

        The client reports an error only where the new topic is shorter than the old offset. And it
        never follows a leader whose epoch is lower than the one it knows (librdkafka 2.16), and the
        epochs of a new topic begin at 0.
        """
        recreated = {name for name, uuid in uuids.items() if uuid != self.topic_uuids.get(name, uuid)}
        self.position_again([partition for partition in self.held if partition[0] in recreated])
        self.client_is_outdated |= bool(recreated)
        self.topic_uuids.update(uuids)

    def position_again(self, partitions: Iterable[Partition]) -> None:
        """Fetch the held ones of these partitions no more until their offsets are read again."""
        self.unpositioned.update(self._release(partitions))

    def lend(self, partitions: Iterable[Partition]) -> None:
        """Leave these partitions to another process of this member until `take_back`."""
        self._release(partitions)

    def take_back(self, partitions: Iterable[Partition]) -> None:
        """Continue partitions where the other process stopped."""
        self.unpositioned.update(partitions)

    def _release(self, partitions: Iterable[Partition]) -> list[Partition]:
        """Take the held ones of these partitions from the client, and return them.

        A partition that is paused (`wait_out`) is resumed first: the client would remember the
        pause, and never fetch the partition again when this member gets it back.
        """
        ours = [partition for partition in partitions if self.held.pop(partition, None) is not None]
        if not ours:
            return []
        for partition in ours:
            self.reached.pop(partition, None)
        places = [TopicPartition(*partition) for partition in ours]
        self.kafka.resume(places)
        self.kafka.incremental_unassign(places)
        return ours

    def look_at_offsets(self) -> None:
        """Begin again in partitions whose offset in the database has been moved.

        A batch would notice that too, and an idle partition has none. After an error of the
        database the next look asks again.
        """
        if time.monotonic() < self._look_again_at:
            return
        self._look_again_at = time.monotonic() + LOOK_SECONDS
        try:
            moved = positions.moved(self.consumer, self.held)
        except (DatabaseError, InterfaceError) as error:
            logger.warning("%s: the offsets cannot be compared: %s", self.consumer, describe(error))
            connection.close()
            return
        if moved:
            logger.warning("%s: the offset of %s was moved in the database", self.consumer, names(moved))
            self.position_again(moved)

    # What Kafka tells about them

    def look_at_topics(self) -> None:
        """Begin again in topics that were recreated, and note those that cannot be read."""
        seen = self._topic_watch.news()
        self._note_uuids(seen.uuids)
        for name, error in seen.refused.items():
            self.obstacles.refused(name, error)
        self.obstacles.is_described(seen.uuids.keys() - {topic for topic, _ in self.held})

    def note_end(self, at: Partition, end: int) -> None:
        """Note the end that the client reports: no message for us is left before it."""
        self.obstacles.is_read({at[0]})
        if at in self.held:
            self.reached[at] = end

    def passed_markers(self) -> dict[Partition, int]:
        """Return the reported ends that lie after the next offset of a held partition.

        In between are offsets without a message for us: the markers of transactions, and messages
        of aborted ones.
        """
        return {at: end for at, end in self.reached.items() if end > self.held.get(at, end)}

    def take_passed_markers(self) -> dict[Partition, int]:
        """Return `passed_markers`, and forget the reported ends."""
        passed, self.reached = self.passed_markers(), {}
        return passed

    def hindrances(self) -> list[str]:
        """Return why this lane cannot do all of its work, for /health/ready; empty if it can."""
        waiting = [f"the offset of {names(self.unpositioned)} is not read yet"] if self.unpositioned else []
        return [*self.obstacles.texts(), *filter(None, [trouble.sentence()]), *waiting]


def names(partitions: Iterable[Partition]) -> str:
    """Return the partitions as `orders[0], orders[1]`."""
    return ", ".join(f"{topic}[{partition}]" for topic, partition in sorted(partitions)) or "nothing"


def _partition(at: TopicPartition) -> Partition:
    return at.topic, at.partition
