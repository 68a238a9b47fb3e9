"""What is varied: each factor has a few settings, which differ from the usual ones in one thing."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Final

USUAL_WAITING: Final = 50_000
BATCH: Final = 2_000  # contabilidad's own
LIMITED_MB: Final = 384  # as much as the broker's heap, which may grow within it; less than the topic has
PADDED: Final = 10_000  # bytes, of the messages of such a topic


@dataclass(frozen=True)
class Setting:
    """How one point is measured; the defaults are the product's own.

    `waiting`: sales in the topic before the consumer starts; with `apart`, none of them is in the
    last partition. `padding`: bytes that are added to each sale, in a field that consumers ignore.
    `acks` is -1 for all in-sync replicas, as Kafka writes it. `memory_mb` limits the pages of the
    broker (0: no limit); with `cold`, the system's page cache is emptied before the consumer
    starts. With `publishes`, publishers that wait for each acknowledgement are measured, too.
    """

    waiting: int = USUAL_WAITING
    padding: int = 0
    batch: int = BATCH
    partitions: int = 6
    consumers: int = 1
    brokers: int = 1
    acks: int = -1
    insync: int = 1
    linger_ms: int = 0
    memory_mb: int = 0
    cold: bool = False
    apart: bool = False
    publishes: bool = False

    def numbers(self) -> dict[str, float]:
        """Return the setting as figures of a point."""
        return {name: float(value) for name, value in asdict(self).items()}


@dataclass(frozen=True)
class Factor:
    """`settings` in the order of the plot; those in `once` are measured in the first round only."""

    summary: str
    settings: list[Setting]
    once: list[Setting]

    def shortened(self, most: int) -> "Factor":
        """Return the factor with at most so many waiting sales, for a test of the harness."""
        return replace(self, settings=[replace(one, waiting=min(one.waiting, most)) for one in self.settings], once=[])


def _series(summary: str, make: Callable[[int], Setting], values: list[int]) -> Factor:
    return Factor(summary, [make(value) for value in values], [])


def _brokers(brokers: int, acks: int, insync: int) -> Setting:
    return Setting(brokers=brokers, acks=acks, insync=insync, publishes=True)


def _full(*, cold: bool = False, memory_mb: int = 0) -> Setting:
    return Setting(waiting=60_000, padding=PADDED, cold=cold, memory_mb=memory_mb)


FACTORS: Final[dict[str, Factor]] = {
    "esperando": Factor(
        "messages that wait in the topic",
        [Setting(waiting=count, apart=True) for count in (10_000, 100_000, 1_000_000)],
        [Setting(waiting=10_000_000, apart=True)],
    ),
    "tamano": Factor(
        "the size of a message",
        [
            Setting(),
            Setting(padding=1_000),
            Setting(padding=10_000, waiting=20_000),
            Setting(padding=100_000, waiting=2_000),
        ],
        [],
    ),
    "lote": Factor(
        "the largest batch that the consumer applies in one transaction",
        [
            Setting(batch=1, waiting=2_000),
            Setting(batch=20, waiting=20_000),
            Setting(batch=200),
            Setting(batch=2_000),
            Setting(batch=5_000),
        ],
        [],
    ),
    "particiones": _series(
        "partitions of the topic", lambda count: Setting(partitions=count, publishes=True), [1, 6, 12, 48]
    ),
    "consumidores": _series(
        "processes of the consumer", lambda count: Setting(consumers=count, waiting=150_000), [1, 2, 3, 4]
    ),
    "brokers": Factor(
        "brokers, acks and min.insync.replicas",
        [_brokers(1, 1, 1), _brokers(1, -1, 1), _brokers(3, 1, 2), _brokers(3, -1, 1), _brokers(3, -1, 2)],
        [],
    ),
    "linger": _series("the producer's linger", lambda ms: Setting(linger_ms=ms, publishes=True), [0, 5, 20, 100]),
    "cache": Factor(
        "a topic that the broker's page cache holds, lost, or cannot hold",
        [_full(), _full(cold=True), _full(memory_mb=LIMITED_MB)],
        [],
    ),
}
