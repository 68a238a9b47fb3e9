"""/metrics: what a process and those beside it count; the web's, with django-prometheus' figures and the whole system now."""

from collections.abc import Iterable, Iterator
from typing import Final

from django.db import DatabaseError, InterfaceError
from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from kafka_bridge.monitoring import overview
from kafka_bridge.monitoring.overview import Overview
from kafka_bridge.telemetry import metrics
from kafka_bridge.telemetry.metrics import Declared
from kafka_bridge.telemetry.registry import own_registry

REMEMBERED_SECONDS: Final = 5.0  # several Prometheus servers, or a person, cost the brokers no more than one
Sample = tuple[tuple[str, ...], float]


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

    yield metrics.WORK_OVERDUE, [((duty.work,), duty.overdue_s) for duty in seen.due_work]
    yield metrics.WORK_FAILED, [((duty.work,), float(duty.failed)) for duty in seen.due_work]


def _lags(seen: Overview) -> Iterator[Sample]:
    for group in seen.groups:
        for one in group.progress:
            if one.lag is not None:
                yield (group.consumer, one.topic, str(one.partition)), float(one.lag)
