"""Topics: their names, partitions and retention, as apps declare them."""

from dataclasses import dataclass
from typing import Final
from zlib import crc32

from kafka_bridge import conf

PRIORITY_PARTITION: Final = 0
DAY_MS: Final = 86_400_000

Partition = tuple[str, int]  # topic, partition


@dataclass(frozen=True, kw_only=True)
class Topic:
    """A topic, as an app declares it in `events.py`; `manage.py create_topics` creates it.

    A deployment may set another number of `partitions` in KAFKA_BRIDGE["PARTITIONS"] and raise it
    later (ADR 20): keys then change partition, so no handler may need order across that moment.
    With a `priority_lane` (a name), partition 0 is reserved for events with `priority`: no key is
    ever hashed into it, and a lane of its own consumes it (consuming/lanes.py).
    `retention_ms` (negative: without end) must exceed the age of the oldest usable backup, because
    after a restore the consumers read the events since that backup again.
    """

    name: str
    partitions: int = 3
    priority_lane: str = ""
    retention_ms: int = 90 * DAY_MS

    def __post_init__(self) -> None:
        object.__setattr__(self, "partitions", conf.PARTITIONS.get(self.name, self.partitions))
        if self.priority_lane and self.partitions < 2:
            raise ValueError(f"{self.name}: a priority lane needs a partition besides {PRIORITY_PARTITION}")

    def partition_for(self, key: str, *, priority: bool) -> int:
        """Return the partition of a key: its CRC-32 over the partitions that no lane reserves.

        CRC-32 is also the hash of librdkafka's `consistent` partitioner.
        """
        if priority and self.priority_lane:
            return PRIORITY_PARTITION
        first = 1 if self.priority_lane else 0
        return first + crc32(key.encode()) % (self.partitions - first)

    @property
    def config(self) -> dict[str, str]:
        """The topic's configuration on the brokers.

        With LogAppendTime, watermarks and retention go by the broker's clock, never by a client's.
        Nothing is stored compressed: the broker unpacks what a sender compressed, and refuses what
        is then larger than max.message.bytes. No message can fill a consumer's memory (ADR 21).
        """
        return {
            "message.timestamp.type": "LogAppendTime",
            "compression.type": "uncompressed",
            "retention.ms": str(self.retention_ms),
            "cleanup.policy": "delete",
        }
