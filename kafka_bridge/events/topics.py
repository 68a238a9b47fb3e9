"""Topics: what each is called, how it is cut into partitions, how long it is kept."""

from dataclasses import dataclass
from typing import Final
from zlib import crc32

PRIORITY_PARTITION: Final = 0
DAY_MS: Final = 86_400_000

Partition = tuple[str, int]  # topic, partition


@dataclass(frozen=True, kw_only=True)
class Topic:
    """A topic as it is declared in an app's `events.py`; `manage.py create_topics` makes it so on the broker.

    With a `priority_lane` (its name), partition 0 belongs to events with `priority` alone: no key ever hashes into it,
    and a lane of its own consumes it (lanes.py).
    `retention_ms` must exceed the age of the oldest backup that one would restore (design: Restore).
    """

    name: str
    partitions: int = 3
    priority_lane: str = ""
    retention_ms: int = 90 * DAY_MS

    def __post_init__(self) -> None:
        if self.priority_lane and self.partitions < 2:
            raise ValueError(f"{self.name}: a priority lane needs a partition besides {PRIORITY_PARTITION}")

    def partition_for(self, key: str, *, priority: bool) -> int:
        """CRC-32 of the key, as librdkafka's `consistent` partitioner, over the partitions that are not a lane's."""
        if priority and self.priority_lane:
            return PRIORITY_PARTITION
        first = 1 if self.priority_lane else 0
        return first + crc32(key.encode()) % (self.partitions - first)

    @property
    def config(self) -> dict[str, str]:
        """The topic's configuration on the broker.

        LogAppendTime: the watermark of a week and the retention go by the broker's clock, never by a client's.
        """
        return {
            "message.timestamp.type": "LogAppendTime",
            "retention.ms": str(self.retention_ms),
            "cleanup.policy": "delete",
        }
