"""The web's /metrics: its own processes, django-prometheus, and the whole system."""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final

from django.db import DatabaseError, InterfaceError
from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from kafka_bridge.brokers import topic_admin
from kafka_bridge.monitoring import overview
from kafka_bridge.monitoring.overview import Overview
from kafka_bridge.telemetry import metrics
from kafka_bridge.telemetry.metrics import Declared
from kafka_bridge.telemetry.registry import process_registry

CACHED_SECONDS: Final = 5.0  # so that several Prometheus servers cost the brokers one overview
Sample = tuple[tuple[str, ...], float]


def page() -> bytes:
    """Return the page. While the database is down, of the whole system it has only DATABASE_UP."""
    whole = CollectorRegistry()
    whole.register(WholeSystem())
    return generate_latest(process_registry()) + generate_latest(whole)


class WholeSystem(Collector):
    """The gauges of the whole system, from an overview that is at most CACHED_SECONDS old."""

    def describe(self) -> Iterable[Metric]:
        return []  # otherwise registering takes an overview

    def collect(self) -> Iterator[Metric]:
        try:
            seen = overview.recent(CACHED_SECONDS)
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
    """Yield each metric with its samples. While Kafka is down its figures are absent, not zero."""
    yield metrics.DATABASE_UP, [((), 1.0)]
    yield metrics.KAFKA_UP, [((), float(seen.brokers is not None))]
    yield metrics.UNDER_REPLICATED, list(_under_replicated(seen))
    yield metrics.GROUP_MEMBERS, [((g.group,), float(g.members)) for g in seen.groups if g.members is not None]
    yield metrics.LAG_MESSAGES, list(_lags(seen))
    yield metrics.OUTBOX, [((), float(seen.outbox.messages))]
    yield metrics.OUTBOX_AGE, [((), seen.outbox.oldest_s)]
    yield metrics.OUTBOX_REFUSED, list(_refused(seen))
    yield metrics.OPEN_DEAD_LETTERS, [((g.consumer,), float(g.open_dead_letters)) for g in seen.groups if not g.lane]
    yield metrics.WORK_OVERDUE, [((work.work,), work.overdue_s) for work in seen.due_work]
    yield metrics.WORK_FAILED, [((work.work,), float(work.failed)) for work in seen.due_work]


def _under_replicated(seen: Overview) -> Iterator[Sample]:
    if seen.brokers is not None:
        partitions = [partition for topic in seen.topics for partition in topic.partitions]
        yield (), float(sum(partition.in_sync < partition.replicas for partition in partitions))


def _refused(seen: Overview) -> Iterator[Sample]:
    """Yield the refused messages of each topic; zero for a topic without any."""
    counts = Counter({topic.name: 0 for topic in topic_admin.declared_topics()})
    for one in seen.outbox.refused:
        counts[one.topic] += one.messages
    for topic, count in counts.items():
        yield (topic,), float(count)


def _lags(seen: Overview) -> Iterator[Sample]:
    for group in seen.groups:
        for one in group.progress:
            if one.lag is not None:
                yield (group.consumer, one.topic, str(one.partition)), float(one.lag)
