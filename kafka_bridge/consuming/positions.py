"""Where a consumer goes on: the database's offset wins over Kafka's, and must still mean the same message."""

import logging
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Final

from django.db.models import Q

from kafka_bridge.brokers import topic_admin, watermarks
from kafka_bridge.events.topics import Partition
from kafka_bridge.exceptions import OffsetsLost
from kafka_bridge.models import ConsumerOffset, DeadLetter

logger = logging.getLogger(__name__)

WATCH_SECONDS: Final = 10.0  # how long a topic made anew may stay unnoticed

_asking: Final = ThreadPoolExecutor(1, "topic-watch")


@dataclass(frozen=True)
class Positions:
    """The next offset of each partition, and the topics' ids."""

    offsets: dict[Partition, int]
    topic_uuids: dict[str, str]


def claim(consumer: str, partitions: Iterable[Partition], *, accept_loss: bool) -> Positions:
    """Reads the partitions' offsets; one never held starts at the oldest message there is.

    A topic that was deleted and made anew starts over: its ids tell, its old offsets mean nothing. Raises OffsetsLost
    where the offset lies outside of what Kafka has, KafkaException and django.db errors in an outage.
    """
    wanted = sorted(partitions)
    uuids = topic_admin.topic_uuids({topic for topic, _ in wanted})
    lows = watermarks.low_watermarks(wanted)
    _make_missing(consumer, lows, uuids)
    rows = [row for row in ConsumerOffset.objects.filter(consumer=consumer) if (row.topic, row.partition) in lows]
    ends = watermarks.end_offsets(wanted)  # after the rows: another member may move them on at any time
    offsets = {}
    for row in rows:
        at = (row.topic, row.partition)
        offsets[at] = _checked(row, lows[at], ends[at], uuids[row.topic], accept_loss)
    return Positions(offsets, uuids)


def _make_missing(consumer: str, lows: dict[Partition, int], uuids: dict[str, str]) -> None:
    rows = [
        ConsumerOffset(consumer=consumer, topic=topic, partition=partition, next_offset=low, topic_uuid=uuids[topic])
        for (topic, partition), low in lows.items()
    ]
    ConsumerOffset.objects.bulk_create(rows, ignore_conflicts=True)


def _checked(row: ConsumerOffset, low: int, end: int, uuid: str, accept_loss: bool) -> int:
    if row.topic_uuid != uuid:
        logger.warning("%s was made anew: %s starts over at its oldest message", row.topic, row.consumer)
        return _move(row, low, uuid)
    if low <= row.next_offset <= end:
        return row.next_offset
    lost = f"{row.consumer} is at {row.next_offset} of {row.topic}[{row.partition}], and Kafka has {low} to {end}"
    if not accept_loss:
        raise OffsetsLost(
            f"{lost}: messages are lost. Restore the topic, or go on without them: run_consumer --accept-loss."
        )
    logger.warning("%s: going on without the lost messages, as told", lost)
    return _move(row, min(max(row.next_offset, low), end), uuid)


def _move(row: ConsumerOffset, offset: int, uuid: str) -> int:
    """Compare-and-set, as each batch does: two members that see the same change agree on it."""
    same = ConsumerOffset.objects.filter(pk=row.pk, next_offset=row.next_offset, topic_uuid=row.topic_uuid)
    same.update(next_offset=offset, topic_uuid=uuid)
    return offset


def failures_before(consumer: str, claimed: Positions, window: int) -> list[bool]:
    """Of the `window` messages before these offsets, worst partition last, whether each is a dead letter that is still open.

    What a consumer knew when it stopped: one that a supervisor starts again and again must not set a topic aside bit by
    bit. Staff who have resolved the dead letters let it go on.
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


class TopicWatch:
    """Notices topics that are deleted and made anew while they are read: a client goes on at the old offset and says nothing.

    What it read meanwhile is read again from the beginning, as is what it skipped.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._names = list(names)
        self._asked: Future[dict[str, str]] | None = None
        self._ask_at = 0.0

    def remade(self, known: Mapping[str, str]) -> set[str]:
        """Those whose id is not the known one, by the latest answer. Never waits for an answer."""
        if self._asked and self._asked.done():
            answer, self._asked = self._asked, None
            uuids = {} if answer.exception() else answer.result()  # asked again soon
            return {name for name, uuid in uuids.items() if uuid != known.get(name, uuid)}
        if not self._asked and time.monotonic() >= self._ask_at:
            self._ask_at = time.monotonic() + WATCH_SECONDS
            self._asked = _asking.submit(topic_admin.topic_uuids, self._names)
        return set()
