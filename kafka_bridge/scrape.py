"""/metrics: what a process and those beside it count; the web's, with django-prometheus' figures and the whole system now."""

import operator
import os
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Final

from django.db import DatabaseError, InterfaceError
from prometheus_client import REGISTRY, CollectorRegistry, Metric, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample as PrometheusSample

from kafka_bridge import metrics, overview
from kafka_bridge.metrics import Declared
from kafka_bridge.overview import Overview

REMEMBERED_SECONDS: Final = 5.0  # several Prometheus servers, or a person, cost the brokers no more than one
Sample = tuple[tuple[str, ...], float]


beside: Final[dict[str, list[Metric]]] = {}  # what the processes beside this one last told, by name (lanes.py)


def own_registry() -> CollectorRegistry:
    """What this process counts and those beside it; with PROMETHEUS_MULTIPROC_DIR, all that share the folder."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ and not beside:
        return REGISTRY
    registry = CollectorRegistry()
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:  # those beside it are among them
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    else:
        registry.register(_Together())
    return registry


class _Together(Collector):
    """This process and those beside it. Each name is one family, and each of its labels one sample, as Prometheus demands."""

    def describe(self) -> Iterable[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        alike: dict[str, list[Metric]] = {}
        for family in chain(REGISTRY.collect(), *list(beside.values())):
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


def page() -> bytes:
    """Prometheus' text format. With the database down, what does not need it."""
    whole = CollectorRegistry()
    whole.register(WholeSystem())
    return generate_latest(own_registry()) + generate_latest(whole)


class WholeSystem(Collector):
    """Looks at the system at most every REMEMBERED_SECONDS."""

    def describe(self) -> Iterable[Metric]:
        return []  # registering must not look

    def collect(self) -> Iterator[Metric]:
        try:
            seen = overview.recent(REMEMBERED_SECONDS)
        except (DatabaseError, InterfaceError):
            yield _gauge(metrics.DATABASE_UP, [((), 0.0)])
            return
        for declared, samples in _families(seen):
            yield _gauge(declared, samples)


def _gauge(declared: Declared, samples: Iterable[Sample]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(declared.name, declared.explanation, labels=declared.labels)
    for labels, value in samples:
        family.add_metric(labels, value)
    return family


def _families(seen: Overview) -> Iterator[tuple[Declared, list[Sample]]]:
    """Figures that Kafka alone knows are left out, not zero, while it is down."""
    partitions = [partition for topic in seen.topics for partition in topic.partitions]
    thin = sum(partition.in_sync < partition.replicas for partition in partitions)
    yield metrics.DATABASE_UP, [((), 1.0)]
    yield metrics.KAFKA_UP, [((), float(seen.brokers is not None))]
    yield metrics.UNDER_REPLICATED, [((), float(thin))] if seen.brokers is not None else []
    yield metrics.GROUP_MEMBERS, [((g.group,), float(g.members)) for g in seen.groups if g.members is not None]
    yield metrics.LAG_MESSAGES, list(_lags(seen))
    yield metrics.OUTBOX, [((), float(seen.outbox.messages))]
    yield metrics.OUTBOX_AGE, [((), seen.outbox.oldest_s)]
    yield metrics.OPEN_DEAD_LETTERS, [((g.consumer,), float(g.open_dead_letters)) for g in seen.groups if not g.lane]

    yield metrics.WORK_OVERDUE, [((duty.work,), duty.overdue_s) for duty in seen.duties]
    yield metrics.WORK_FAILED, [((duty.work,), float(duty.failed)) for duty in seen.duties]


def _lags(seen: Overview) -> Iterator[Sample]:
    for group in seen.groups:
        for one in group.progress:
            if one.lag is not None:
                yield (group.consumer, one.topic, str(one.partition)), float(one.lag)
