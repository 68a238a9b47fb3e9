"""The rule by which KEDA and its HorizontalPodAutoscaler choose a number of pods, without a clock.

The numbers are those of deploy/kubernetes; the measured day and the simulation both decide here.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from math import ceil
from typing import Any, Final

import yaml

from inscripciones.events import MAESTROS
from mamochi_site.local.system import CHECKOUT
from ventas.events import VENTAS
from ventas.libro import CONTABILIDAD

OBJECTS: Final = CHECKOUT / "deploy" / "kubernetes" / "components" / "autoscaling" / "consumers.yaml"
PARTITIONS: Final = 12  # of sales: as many as KEDA may start pods
OTHERS: Final = MAESTROS.partitions  # what contabilidad reads besides, in which nothing comes here
# What Kubernetes does unless it is told otherwise.
TOLERANCE: Final = 0.1  # a proportion so near to 1 changes nothing
MOST_MORE: Final = 4  # pods at once, or as many as there are
SYNC_SECONDS: Final = 15.0
STABLE_SECONDS: Final = 300.0


@dataclass(frozen=True)
class Cron:
    """So many pods at least between two hours of the day."""

    start: float
    end: float
    replicas: int


@dataclass(frozen=True)
class Keda:
    """What the project's ScaledObject of contabilidad says; `threshold` is in messages per pod."""

    threshold: float
    polling: float
    least: int
    most: int
    cron: Cron


@dataclass(frozen=True)
class Rule:
    """How pods are chosen: every `every` seconds, and fewer of them only after `stable` seconds."""

    threshold: float
    least: int
    most: int
    every: float
    stable: float
    cron: Cron | None = None

    def proposal(self, lag: float, hour: float, pods: int) -> int:
        """Return the number of pods for this lag, at this hour. From none, KEDA starts one."""
        if not pods:
            return max(self.least, 1) if lag else self.least
        proportion = lag / (self.threshold * pods)
        by_lag = pods if abs(proportion - 1) <= TOLERANCE else ceil(lag / self.threshold)
        return min(self.most, max(self.least, by_lag, self._planned(hour)))

    def _planned(self, hour: float) -> int:
        return self.cron.replicas if self.cron and self.cron.start <= hour < self.cron.end else 0


@dataclass
class Autoscaler:
    """A rule and what it has proposed lately: the number falls to the greatest of these at most."""

    rule: Rule
    _proposals: list[tuple[float, int]] = field(default_factory=list)

    def decide(self, now: float, *, lag: float, hour: float, pods: int) -> int:
        """Return how many pods there shall be."""
        proposal = self.rule.proposal(lag, hour, pods)
        self._proposals = [(at, one) for at, one in self._proposals if now - at < self.rule.stable]
        self._proposals.append((now, proposal))
        if proposal >= pods:
            return min(proposal, pods + max(MOST_MORE, pods))
        return min(pods, max(one for _, one in self._proposals))


def read_keda() -> Keda:
    """Return the project's settings. Raises LookupError if the file does not have them."""
    name = f"consumer-{CONTABILIDAD}"
    spec = next(one["spec"] for one in yaml.safe_load_all(OBJECTS.read_text()) if one["metadata"]["name"] == name)
    lag = _trigger(spec["triggers"], type="kafka", topic=VENTAS.name)
    cron = _trigger(spec["triggers"], type="cron")
    return Keda(
        threshold=float(lag["lagThreshold"]),
        polling=float(spec["pollingInterval"]),
        least=spec["minReplicaCount"],
        most=spec["maxReplicaCount"],
        cron=Cron(_hour(cron["start"]), _hour(cron["end"]), int(cron["desiredReplicas"])),
    )


def _trigger(triggers: Iterable[dict[str, Any]], **wanted: str) -> dict[str, str]:
    """Return the metadata of the first trigger that has these values."""
    for each in triggers:
        metadata: dict[str, str] = each["metadata"]
        if wanted.items() <= ({"type": each["type"]} | metadata).items():
            return metadata
    raise LookupError(f"{OBJECTS.name} has no trigger with {wanted}")


def _hour(crontab: str) -> float:
    """Return the hour of the day at which a line of cron is due, such as `30 11 * * *`."""
    minute, hour, *_ = crontab.split()
    return int(hour) + int(minute) / 60


def pods_for(rate: float, capacity: float, partitions: int = PARTITIONS) -> int:
    """Return how few pods carry this rate: a pod's share is a whole number of partitions.

    Kafka shares out all that contabilidad reads, so the partitions of one pod may all be of sales.
    If no number carries the rate, as many pods as sales have partitions.
    """
    for pods in range(1, partitions):
        if min(partitions, ceil((partitions + OTHERS) / pods)) / partitions * rate <= capacity:
            return pods
    return partitions
