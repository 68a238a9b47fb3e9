"""Collect this process's metrics, and those of its lanes or of processes that share a folder."""

import operator
import os
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Final

from prometheus_client import REGISTRY, CollectorRegistry, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

# The latest metrics of the processes that this one started for its lanes, by name.
lane_metrics: Final[dict[str, list[Metric]]] = {}


def process_registry() -> CollectorRegistry:
    """Return the metrics of this process and its lanes.

    With PROMETHEUS_MULTIPROC_DIR, those of all processes that share the folder, lanes included.
    """
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ and not lane_metrics:
        return REGISTRY
    registry = CollectorRegistry()
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        MultiProcessCollector(registry)
    else:
        registry.register(_MergedCollector())
    return registry


class _MergedCollector(Collector):
    """This process's metrics and its lanes', as one family per name and one sample per label set.

    Prometheus rejects a page that repeats either.
    """

    def describe(self) -> Iterable[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        by_name: dict[str, list[Metric]] = {}
        for family in chain(REGISTRY.collect(), *list(lane_metrics.values())):
            by_name.setdefault(family.name, []).append(family)
        for families in by_name.values():
            yield families[0] if len(families) == 1 else _merged(families)


def _merged(families: list[Metric]) -> Metric:
    """Add up the samples with equal labels; of gauges and `_created` times, take the largest."""
    first, merged = families[0], dict[tuple[str, tuple[tuple[str, str], ...]], Sample]()
    for sample in chain.from_iterable(family.samples for family in families):
        key = sample.name, tuple(sorted(sample.labels.items()))
        other = merged.get(key)
        merge = max if first.type == "gauge" or sample.name.endswith("_created") else operator.add
        merged[key] = sample if other is None else sample._replace(value=merge(other.value, sample.value))
    one = Metric(first.name, first.documentation, first.type, first.unit)
    one.samples = list(merged.values())
    return one
