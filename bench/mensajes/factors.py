"""What is varied: each factor has a few settings, which differ from the usual ones in one thing."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Final

USUAL_WAITING: Final = 50_000
BATCH: Final = 2_000  # contabilidad's own
ALL: Final = -1  # acks=all, as Kafka writes it


@dataclass(frozen=True)
class Setting:
    """How one point is measured; the defaults are the product's own.

    `waiting`: sales in the topic before the consumer starts; with `joined`, its processes have
    their partitions already. With `newcomers`, some sales are published while those wait.
    `padding`: bytes that are added to each sale, in a field that consumers ignore. `memory_mb`
    limits the pages of files that the broker keeps (0: no limit). With `publishes`, publishers that
    wait for each acknowledgement are measured, too. A setting that takes ten minutes is measured
    `once` a run, in its first round.
    """

    waiting: int = USUAL_WAITING
    newcomers: bool = False
    padding: int = 0
    batch: int = BATCH
    partitions: int = 6
    consumers: int = 1
    joined: bool = False
    brokers: int = 1
    acks: int = ALL
    insync: int = 1
    linger_ms: int = 0
    memory_mb: int = 0
    publishes: bool = False
    once: bool = False

    def numbers(self) -> dict[str, float]:
        """Return the setting as figures of a point."""
        return {name: float(value) for name, value in asdict(self).items()}


@dataclass(frozen=True)
class Factor:
    """`settings` in the order of the plot."""

    summary: str
    settings: list[Setting]

    def shortened(self, most: int) -> "Factor":
        """Return the first and the last setting with at most so many waiting sales.

        For a test of the harness: the settings between would only repeat the same work.
        """
        ends = [self.settings[0], self.settings[-1]]
        return replace(self, settings=[replace(one, waiting=min(one.waiting, most)) for one in ends])


def _series(summary: str, make: Callable[[int], Setting], values: list[int]) -> Factor:
    return Factor(summary, [make(value) for value in values])


def _three(acks: int, insync: int) -> Setting:
    return Setting(brokers=3, acks=acks, insync=insync, publishes=True)


FACTORS: Final[dict[str, Factor]] = {
    "esperando": _series(
        "messages that wait in the topic",
        lambda count: Setting(waiting=count, newcomers=True, once=count > 1_000_000),
        [10_000, 100_000, 1_000_000, 10_000_000],
    ),
    "tamano": Factor(
        "the size of a message",
        [
            Setting(),
            Setting(padding=1_000),
            Setting(padding=10_000, waiting=20_000),
            Setting(padding=100_000, waiting=2_000),
        ],
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
    ),
    "particiones": _series(
        "partitions of the topic", lambda count: Setting(partitions=count, publishes=True), [1, 6, 12, 48]
    ),
    "consumidores": _series(
        "processes of the consumer",
        # contabilidad reads three partitions of accounts, too: with 12 of sales, one of four
        # processes may get these only.
        lambda count: Setting(consumers=count, joined=True, partitions=24, waiting=250_000),
        [1, 2, 4],
    ),
    # Acknowledgements of one replica ask nothing of the others, whatever min.insync.replicas says.
    "brokers": Factor(
        "brokers, acks and min.insync.replicas",
        [Setting(publishes=True), _three(1, 1), _three(ALL, 1), _three(ALL, 2)],
    ),
    "linger": _series("the producer's linger", lambda ms: Setting(linger_ms=ms, publishes=True), [0, 5, 20, 100]),
    # 1.06 GB of messages.
    "cache": _series(
        "the memory for the broker's page cache",
        lambda megabytes: Setting(memory_mb=megabytes, padding=10_000, waiting=100_000),
        [0, 512, 256],
    ),
}
