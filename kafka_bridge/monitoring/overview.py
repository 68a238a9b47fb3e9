"""The whole system at this moment.

Brokers, topics, consumers, outbox, dead letters and due work, and the problems in words. Used by
the admin's page, by `manage.py overview` and by /metrics. An overview costs three queries, one more
per kind of due work, and the questions of brokers/cluster_state.py. If Kafka does not answer, it
takes cluster_state.ANSWER_SECONDS and contains the rest.
"""

import threading
import time
from collections import Counter
from datetime import datetime, timedelta

import msgspec
from django.db.models import Count, Min, Q
from django.utils import timezone

from kafka_bridge.brokers import cluster_state
from kafka_bridge.brokers.cluster_state import ClusterState, TopicState
from kafka_bridge.consuming.handlers import consumers
from kafka_bridge.models import ConsumerOffset, DeadLetter, OutboxMessage
from kafka_bridge.monitoring import due_work, groups, problems
from kafka_bridge.monitoring.due_work import DueWork
from kafka_bridge.monitoring.groups import DeadLetterCount, Observation
from kafka_bridge.monitoring.problems import Problem
from kafka_bridge.monitoring.system_state import GroupState, Outbox, Refused


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    """The system at one moment.

    `at`: Unix seconds. `brokers`: host:port by id, None if Kafka does not answer.
    """

    at: float
    brokers: dict[int, str] | None
    topics: list[TopicState]
    groups: list[GroupState]
    outbox: Outbox
    due_work: list[DueWork]
    problems: list[Problem]


def take(now: datetime | None = None) -> Overview:
    """Ask the database and Kafka, and return the overview. Raises django.db errors."""
    now = now or timezone.now()
    offsets = list(ConsumerOffset.objects.filter(consumer__in=consumers))
    places = [(row.topic, row.partition, row.next_offset) for row in offsets]
    cluster = cluster_state.fetch(groups.group_ids(), places)
    observation = Observation(offsets=offsets, cluster=cluster, dead_letters=_dead_letters(now), now=now)
    group_states, outbox, due = observation.group_states(), _outbox(now, cluster), due_work.all_of(now)
    return Overview(
        at=now.timestamp(),
        brokers=cluster.brokers if cluster else None,
        topics=cluster.topics if cluster else [],
        groups=group_states,
        outbox=outbox,
        due_work=due,
        problems=problems.find(cluster, outbox, group_states, due),
    )


class _Cache:
    """The last overview, shared by the threads of this process."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.overview: Overview | None = None


_cache = _Cache()


def recent(seconds: float) -> Overview:
    """Return an overview that is at most so many seconds old.

    However many people and scrapers ask, the brokers are asked once. Raises as `take` does.
    """
    with _cache.lock:
        overview = _cache.overview
        if overview is None or abs(time.time() - overview.at) > seconds:
            overview = _cache.overview = take()
        return overview


def forget() -> None:
    """Empty the cache, for tests."""
    _cache.overview = None


def _dead_letters(now: datetime) -> dict[str, DeadLetterCount]:
    """Count the dead letters by consumer."""
    is_open = Q(state=DeadLetter.State.OPEN)
    is_recent = Q(created_at__gte=now - timedelta(hours=1))
    counted = (
        DeadLetter.objects.filter(is_open | is_recent)
        .order_by()
        .values_list("consumer")
        .annotate(opened=Count("pk", filter=is_open), last_hour=Count("pk", filter=is_recent))
    )
    return {consumer: DeadLetterCount(opened, last_hour) for consumer, opened, last_hour in counted}


def _outbox(now: datetime, cluster: ClusterState | None) -> Outbox:
    """Count what waits, what of it is for partitions that Kafka lacks, and what Kafka refused."""
    found = OutboxMessage.objects.order_by("topic", "partition").values_list("topic", "partition", "refusal")
    counted = list(found.annotate(Count("pk"), Min("created_at")))
    places = [(topic, at, count, since) for topic, at, refusal, count, since in counted if not refusal]
    there = {topic.name: len(topic.partitions) for topic in cluster.topics if _is_known(topic)} if cluster else {}
    missing = {f"{topic}[{at}]": count for topic, at, count, _ in places if at >= there.get(topic, at + 1)}
    oldest = min((since for *_, since in places), default=now)
    refused: Counter[tuple[str, str]] = Counter()
    for topic, _at, refusal, count, _since in counted:
        refused[topic, refusal] += count if refusal else 0
    return Outbox(
        messages=sum(count for _, _, count, _ in places),
        oldest_s=max(0.0, (now - oldest).total_seconds()),
        missing=missing,
        refused=[Refused(topic, error, count) for (topic, error), count in sorted((+refused).items())],
    )


def _is_known(topic: TopicState) -> bool:
    """Return True if Kafka said which partitions the topic has, or that it is missing."""
    return bool(topic.partitions) or topic.missing
