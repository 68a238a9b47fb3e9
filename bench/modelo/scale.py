"""What a guild needs: cores by part, processes, partitions, brokers and databases.

No part is taken to cost less per sale than at the greatest rate at which the law was checked.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import Final

from bench.modelo.law import Estimate, Fitted
from bench.openloop.orders import MEAN_SECONDS

FULL: Final = 0.7  # of the cores that are used at the peak; the rest is for failures and for waits
BROKER_CORES: Final = 8
DATABASE_CORES: Final = 32  # of the largest single primary that is planned with
LEAST_BROKERS: Final = 3
# Today's partitions of a topic, and who reads it.
TOPICS: Final = {"mamochi.ventas": (6, ("contabilidad", "inventario")), "mamochi.stock": (3, ("distribuidores",))}
SPARE: Final = 2  # partitions per process on the busiest day
REPLICAS: Final = 3
MODELLED: Final = ("contabilidad", "inventario", "distribuidores")


@dataclass(frozen=True)
class Guild:
    """What so many maestros need, who all sell every six seconds."""

    maestros: int
    rate: float
    cores: Mapping[str, Estimate]
    processes: Mapping[str, int]
    partitions: Mapping[str, int]
    brokers: int
    databases: int


def plan(maestros: int, fitted: Mapping[str, Fitted], checked: float, speeds: Mapping[str, float], off: float) -> Guild:
    """Return what a guild needs.

    `checked`: the greatest rate of the law; `speeds`: what one process of a consumer applies per
    second of a full topic, which the law of small loads knows nothing of. `off`: the factor by
    which the law's checks were off.
    """
    rate = maestros / MEAN_SECONDS
    # A follower copies what the leader got: each replica is taken to cost what the leader costs.
    replicas = {"Kafka": REPLICAS}
    cores = {
        part: law.cost(min(rate, checked)).times(replicas.get(part, 1) * rate / 1_000).widened(off)
        for part, law in fitted.items()
    }
    processes = {part: max(1, ceil(cores[part].high / FULL)) for part in MODELLED if part not in speeds}
    processes |= {part: max(1, ceil(rate / (FULL * speed))) for part, speed in speeds.items()}
    return Guild(
        maestros,
        rate,
        cores,
        processes,
        partitions={
            topic: max(least, SPARE * max(processes[part] for part in parts))
            for topic, (least, parts) in TOPICS.items()
        },
        brokers=max(LEAST_BROKERS, ceil(cores["Kafka"].high / (FULL * BROKER_CORES))),
        databases=ceil(cores["PostgreSQL"].high / (FULL * DATABASE_CORES)),
    )


def full_at(law: Fitted, checked: float, cores: int = DATABASE_CORES) -> Estimate:
    """Return how many maestros fill a machine of so many cores with one part."""
    cost = law.cost(checked)
    value, low, high = (MEAN_SECONDS * FULL * cores * 1_000 / max(ms, 1e-9) for ms in (cost.value, cost.high, cost.low))
    return Estimate(value, low, high)


def contention(one: list[float], two: list[float]) -> Estimate:
    """Return the universal scalability law's contention, from what one core and two cores carry.

    X(n) = n X(1) / (1 + contention (n - 1) + coherence n (n - 1)). Two sizes cannot tell the two
    apart, so coherence is taken as 0. The interval has all pairs of rounds.
    """
    each = sorted(2 * low / high - 1 for low in one for high in two)
    middle = 2 * sorted(one)[len(one) // 2] / sorted(two)[len(two) // 2] - 1
    return Estimate(middle, each[0], each[-1])
