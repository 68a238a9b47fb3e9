"""The group of contabilidad as the brokers see it: members, who has which partition, lag."""

import itertools
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from confluent_kafka import ConsumerGroupState, ConsumerGroupTopicPartitions, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from mamochi_site.local.cluster.files import KAFKA

GROUP: Final = "contabilidad"
VENTAS: Final = "mamochi.ventas"
LOOK_EVERY_S: Final = 0.2
ANSWER_S: Final = 10.0


@dataclass(frozen=True)
class Look:
    """The group at `at` (monotonic seconds): how many members have partitions, and the lag.

    `sharing` is 0 while partitions move, and unless each partition belongs to exactly one member.
    `selling` of them have a partition of sales; the others have accounts only.
    """

    at: float
    members: int
    sharing: int
    selling: int
    partitions: int
    lag: int


class Group:
    """A client that looks at the group."""

    def __init__(self) -> None:
        self._admin = AdminClient({"bootstrap.servers": KAFKA})

    def look(self) -> Look:
        """Return how the group is now. Raises KafkaException."""
        at = time.monotonic()
        topic = self._admin.list_topics(VENTAS, timeout=ANSWER_S).topics[VENTAS]
        partitions = sorted(topic.partitions)
        stable, shares = self._shares()
        sales = [[number for name, number in share if name == VENTAS] for share in shares]
        at_rest = stable and sorted(itertools.chain(*sales)) == partitions
        sharing, selling = (sum(map(bool, one)) if at_rest else 0 for one in (shares, sales))
        return Look(at, len(shares), sharing, selling, len(partitions), self._lag(partitions))

    def _shares(self) -> tuple[bool, list[list[tuple[str, int]]]]:
        """Return whether the group is at rest, and each member's topics and partitions."""
        found = self._admin.describe_consumer_groups([GROUP], request_timeout=ANSWER_S)[GROUP].result()
        held = [member.assignment.topic_partitions for member in found.members]
        shares = [[(one.topic, one.partition) for one in share] for share in held]
        return found.state == ConsumerGroupState.STABLE, shares

    def _lag(self, partitions: list[int]) -> int:
        """Return how many sales the group has not committed yet, as KEDA counts."""
        places = [TopicPartition(VENTAS, number) for number in partitions]
        latest: OffsetSpec = OffsetSpec.latest()
        ends = self._admin.list_offsets(dict.fromkeys(places, latest), request_timeout=ANSWER_S)
        asked: Any = [ConsumerGroupTopicPartitions(GROUP, places)]
        committed = self._admin.list_consumer_group_offsets(asked, request_timeout=ANSWER_S)[GROUP].result()
        # Without a commit the offset is negative, and everything waits.
        done = sum(max(0, one.offset) for one in committed.topic_partitions)
        last = sum(int(future.result().offset) for future in ends.values())
        return last - done


class Watch:
    """All looks since the beginning of `watching`."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.looks: list[Look] = []

    def moving_since(self, moment: float) -> float:
        """Return for how many seconds partitions were on the move since then, all in all."""
        after = [look for look in self.looks if look.at >= moment]
        return sum(later.at - look.at for look, later in itertools.pairwise(after) if not look.sharing)

    def most_lag_since(self, moment: float) -> int:
        """Return the highest lag since then."""
        return max((look.lag for look in self.looks if look.at >= moment), default=0)

    def shared_by(self, members: int, partitions: int) -> bool:
        """Return True if so many members share so many partitions now."""
        return bool(self.looks) and (self.looks[-1].sharing, self.looks[-1].partitions) == (members, partitions)

    def series(self) -> list[dict[str, float]]:
        """Return the looks as figures."""
        return [
            {
                "s": round(look.at - self.began, 1),
                "members": look.members,
                "sharing": look.sharing,
                "selling": look.selling,
                "partitions": look.partitions,
                "lag": look.lag,
            }
            for look in self.looks
        ]


@contextmanager
def watching() -> Iterator[Watch]:
    """Look at the group all the time while the block runs."""
    watch, group, stop = Watch(), Group(), threading.Event()

    def look() -> None:
        while not stop.wait(LOOK_EVERY_S):
            try:
                watch.looks.append(group.look())
            except KafkaException:
                continue  # The coordinator has just no answer; the next look follows soon.

    thread = threading.Thread(target=look, name="group")
    thread.start()
    try:
        yield watch
    finally:
        stop.set()
        thread.join()
