"""The offset at which a consumer continues: the database's, which wins over Kafka's.

An offset counts only while it still means the same message: the topic must not have been recreated,
and Kafka must still have the message.
"""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Final

from confluent_kafka import KafkaError
from django.db.models import Q

from kafka_bridge.brokers import topic_admin, watermarks
from kafka_bridge.events.topics import Partition
from kafka_bridge.exceptions import OffsetsLost
from kafka_bridge.models import ConsumerOffset, DeadLetter

logger = logging.getLogger(__name__)

CLAIM_SECONDS: Final = 3.0  # how long Kafka may take to tell the ends; meanwhile the consumer does nothing else


@dataclass(frozen=True)
class Positions:
    """The next offset of each partition, and the broker's id of each topic.

    `refused`: the partitions whose ends Kafka did not tell, each with the reason.
    """

    offsets: dict[Partition, int]
    topic_uuids: dict[str, str]
    refused: dict[Partition, KafkaError]


def claim(consumer: str, partitions: Iterable[Partition], *, accept_loss: bool) -> Positions:
    """Return the offset at which each partition continues; store it if it is new or corrected.

    A partition that the consumer never held starts at the oldest message that Kafka has. So does
    one of a recreated topic: the topic's id has changed, and the stored offset means nothing.
    Raises OffsetsLost if Kafka no longer has the stored offset (unless `accept_loss`), and
    KafkaException and django.db errors in an outage.
    """
    wanted = sorted(partitions)
    seen = topic_admin.describe({topic for topic, _ in wanted})
    bounds, refused = watermarks.bounds([at for at in wanted if at[0] in seen.uuids], CLAIM_SECONDS)
    refused |= {at: seen.refused[at[0]] for at in wanted if at[0] in seen.refused}
    _create_missing(consumer, {at: low for at, (low, _) in bounds.items()}, seen.uuids)
    rows = [row for row in ConsumerOffset.objects.filter(consumer=consumer) if (row.topic, row.partition) in bounds]
    # After the rows, which another member may move at any time:
    ends, no_ends = watermarks.bounds(bounds, CLAIM_SECONDS)
    offsets = {}
    for row in rows:
        at = (row.topic, row.partition)
        if at not in ends:
            continue
        try:
            offsets[at] = _valid_offset(row, bounds[at][0], ends[at][1], seen.uuids[row.topic], accept_loss)
        except OffsetsLost:
            if _has_id(row.topic, seen.uuids[row.topic]):
                raise
            refused[at] = KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART, "the topic was deleted just now")
    return Positions(offsets, seen.uuids, refused | no_ends)


def moved(consumer: str, held: Mapping[Partition, int]) -> list[Partition]:
    """Return the partitions whose offset in the database is another one than the one held.

    A backup was restored while the consumer ran.
    """
    rows = ConsumerOffset.objects.filter(consumer=consumer).values_list("topic", "partition", "next_offset")
    stored = {(topic, partition): offset for topic, partition, offset in rows}
    return [partition for partition, offset in held.items() if stored.get(partition) != offset]


def _create_missing(consumer: str, lows: dict[Partition, int], uuids: dict[str, str]) -> None:
    rows = [
        ConsumerOffset(consumer=consumer, topic=topic, partition=partition, next_offset=low, topic_uuid=uuids[topic])
        for (topic, partition), low in lows.items()
    ]
    ConsumerOffset.objects.bulk_create(rows, ignore_conflicts=True)


def _valid_offset(row: ConsumerOffset, low: int, end: int, uuid: str, accept_loss: bool) -> int:
    """Return the row's offset if Kafka has it, else the one to continue at. Raises OffsetsLost."""
    if row.topic_uuid != uuid:
        logger.warning("%s was recreated: %s starts again at its oldest message", row.topic, row.consumer)
        return _move(row, low, uuid)
    if low <= row.next_offset <= end:
        return row.next_offset
    lost = f"{row.consumer} is at {row.next_offset} of {row.topic}[{row.partition}], and Kafka has {low} to {end}"
    if not accept_loss:
        raise OffsetsLost(
            f"{lost}: messages are lost. Restore the topic, or continue without them: run_consumer --accept-loss."
        )
    logger.warning("%s: continuing without the lost messages (--accept-loss)", lost)
    return _move(row, min(max(row.next_offset, low), end), uuid)


def _has_id(topic: str, uuid: str) -> bool:
    """Return True if the topic still has this id, so that its ends were those of this topic."""
    return topic_admin.describe([topic]).uuids.get(topic) == uuid


def _move(row: ConsumerOffset, offset: int, uuid: str) -> int:
    """Set the row's offset, unless another member has changed the row; return the offset."""
    same = ConsumerOffset.objects.filter(pk=row.pk, next_offset=row.next_offset, topic_uuid=row.topic_uuid)
    same.update(next_offset=offset, topic_uuid=uuid)
    return offset


def failures_before(consumer: str, claimed: Positions, window: int) -> list[bool]:
    """Return for each of the `window` messages before these offsets if it is an open dead letter.

    The partition with the most failures comes last. A restarted consumer thus remembers its
    failures: a supervisor that restarts it again and again must not dead-letter the topic bit by
    bit. Once staff have resolved the dead letters, the consumer continues.
    """
    each = window // max(1, sum(offset > 0 for offset in claimed.offsets.values()))
    near = [
        Q(
            topic=at[0],
            topic_uuid=claimed.topic_uuids[at[0]],
            partition=at[1],
            offset__range=(offset - each, offset - 1),
        )
        for at, offset in claimed.offsets.items()
    ]
    letters = DeadLetter.objects.filter(reduce(or_, near, Q(pk=None)), consumer=consumer, state=DeadLetter.State.OPEN)
    dead = set(letters.values_list("topic", "partition", "offset"))
    tails = [
        [(*at, before) in dead for before in range(max(0, offset - each), offset)]
        for at, offset in claimed.offsets.items()
    ]
    return [failed for tail in sorted(tails, key=sum) for failed in tail]
