"""TODO."""

import operator
import os
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Final

from prometheus_client import REGISTRY, CollectorRegistry, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample as PrometheusSample

lane_metrics: Final[dict[str, list[Metric]]] = {}  # what the processes beside this one last told, by name (lanes.py)


def own_registry() -> CollectorRegistry:
    """What this process counts and those beside it; with PROMETHEUS_MULTIPROC_DIR, all that share the folder."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ and not lane_metrics:
        return REGISTRY
    registry = CollectorRegistry()
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:  # those beside it are among them
        MultiProcessCollector(registry)
    else:
        registry.register(_Together())
    return registry


class _Together(Collector):
    """This process and those beside it. Each name is one family, and each of its labels one sample, as Prometheus demands."""

    def describe(self) -> Iterable[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        alike: dict[str, list[Metric]] = {}
        for family in chain(REGISTRY.collect(), *list(lane_metrics.values())):
            alike.setdefault(family.name, []).append(family)
        for families in alike.values():
            yield families[0] if len(families) == 1 else _one_of(families)


def _one_of(families: list[Metric]) -> Metric:
    """What several processes count with the same labels is added up; of gauges and of beginnings, the latest counts."""
    first, merged = families[0], dict[tuple[str, tuple[tuple[str, str], ...]], PrometheusSample]()
    for sample in chain.from_iterable(family.samples for family in families):
        at = sample.name, tuple(sorted(sample.labels.items()))
        other = merged.get(at)
        both = max if first.type == "gauge" or sample.name.endswith("_created") else operator.add
        merged[at] = sample if other is None else sample._replace(value=both(other.value, sample.value))
    one = Metric(first.name, first.documentation, first.type, first.unit)
    one.samples = list(merged.values())
    return one
