"""The whole system at this moment: brokers, topics, consumers, outbox, dead letters, what is owed, and in words what is wrong.

Costs three queries and one for each thing that an app owes (duties.py), and what cluster.py asks of Kafka; without Kafka it
takes cluster.ANSWER_SECONDS and tells the rest. The same for the admin's page, the terminal (`manage.py estado`) and /metrics.
"""

import threading
import time
from datetime import UTC, datetime
from typing import Final

import msgspec
from django.db.models import Count, Min, Q
from django.utils import timezone

from kafka_bridge.brokers import cluster_state
from kafka_bridge.brokers.cluster_state import ClusterState, TopicState
from kafka_bridge.consuming.handlers import Consumer, consumers
from kafka_bridge.events.topics import PRIORITY_PARTITION, Partition
from kafka_bridge.models import ConsumerOffset, DeadLetter, OutboxMessage
from kafka_bridge.monitoring import due_work
from kafka_bridge.monitoring.due_work import Duty
from kafka_bridge.monitoring.problems import Problem, _of_dead, _of_duties, _of_groups, _of_kafka, _of_outbox
from kafka_bridge.monitoring.system_state import GroupState, Outbox, Progress

ALL_WELL: Final = "Los consumidores están al día, nada espera su turno ni un correo más de lo debido."


class Overview(msgspec.Struct, frozen=True):
    """`brokers` by id, as host:port; None where Kafka does not answer. `at`: Unix seconds."""

    at: float
    brokers: dict[int, str] | None
    topics: list[TopicState]
    groups: list[GroupState]
    outbox: Outbox
    due_work: list[Duty]
    problems: list[Problem]


def look(now: datetime | None = None) -> Overview:
    """Looks at everything once. Raises django.db errors where the database does not answer."""
    now = now or timezone.now()
    offsets = list(ConsumerOffset.objects.filter(consumer__in=consumers))
    names = [_group_id(consumer, lane) for consumer, lane in _lanes()]
    kafka = cluster_state.fetch(names, [(row.topic, row.partition, row.next_offset) for row in offsets])
    dead, outbox, owed = _dead_letters(now), _outbox(now), due_work.all_of(now)
    groups = [_group(consumer, lane, offsets, kafka, dead, now) for consumer, lane in _lanes()]
    problems = [
        *_of_kafka(kafka),
        *_of_outbox(outbox, kafka),
        *_of_groups(groups),
        *_of_duties(owed),
        *_of_dead(groups),
    ]
    problems.sort(key=lambda problem: not problem.grave)
    brokers, topics = (kafka.brokers, kafka.topics) if kafka else (None, [])
    return Overview(now.timestamp(), brokers, topics, groups, outbox, owed, problems)


class _Memory:
    """The last look, so that many who ask cost the brokers no more than one."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.seen: Overview | None = None


_memory: Final = _Memory()


def recent(seconds: float) -> Overview:
    """A look that is at most so many seconds old, shared by the threads of this process. Raises as `look` does."""
    with _memory.lock:
        seen = _memory.seen
        if seen is None or abs(time.time() - seen.at) > seconds:
            seen = _memory.seen = look()
        return seen


def _lanes() -> list[tuple[Consumer, str]]:
    return [(consumer, lane) for _, consumer in sorted(consumers.items()) for lane in [*consumer.lanes, ""]]


def _dead_letters(now: datetime) -> dict[str, tuple[int, int]]:
    recent = Q(created_at__gte=datetime.fromtimestamp(now.timestamp() - 3_600, UTC))
    counted = (
        DeadLetter.objects.filter(Q(state=DeadLetter.State.OPEN) | recent)
        .order_by()
        .values_list("consumer")
        .annotate(opened=Count("pk", filter=Q(state=DeadLetter.State.OPEN)), last_hour=Count("pk", filter=recent))
    )
    return {consumer: (opened, last_hour) for consumer, opened, last_hour in counted}


def _outbox(now: datetime) -> Outbox:
    found = OutboxMessage.objects.aggregate(count=Count("pk"), oldest=Min("created_at"))
    oldest = found["oldest"]
    return Outbox(found["count"], max(0.0, (now - oldest).total_seconds()) if oldest else 0.0)


def _group_id(consumer: Consumer, lane: str) -> str:
    return f"{consumer.name}.{lane}" if lane else consumer.name


def _group(  # noqa: PLR0913, PLR0917 - what was looked up, and for whom
    consumer: Consumer,
    lane: str,
    rows: list[ConsumerOffset],
    kafka: ClusterState | None,
    dead: dict[str, tuple[int, int]],
    now: datetime,
) -> GroupState:
    group = _group_id(consumer, lane)
    ours = {at: row for row in rows if row.consumer == consumer.name and _is_of_lane(consumer, (at := _at(row)), lane)}
    known = _declared(consumer) | (kafka.bounds.keys() if kafka else set())
    never_held = [at for at in known - ours.keys() if _is_of_lane(consumer, at, lane)]
    progress = [*(_progress(row, kafka, now) for row in ours.values()), *(_unbegun(at, kafka) for at in never_held)]
    hosts = kafka.members.get(group) if kafka else None
    opened, recent = dead.get(consumer.name, (0, 0))
    moved = max((row.updated_at for row in ours.values()), default=None)
    return GroupState(
        group=group,
        consumer=consumer.name,
        lane=lane,
        members=None if hosts is None else len(hosts),
        hosts=sorted(set(hosts or [])),
        progress=sorted(progress, key=lambda one: (one.topic, one.partition)),
        last_batch=moved.astimezone(UTC).isoformat() if moved else None,
        open_dead_letters=opened,
        recent_dead_letters=recent,
        still_s=max(0.0, (now - moved).total_seconds()) if moved else 0.0,
    )


def _at(row: ConsumerOffset) -> Partition:
    return row.topic, row.partition


def _declared(consumer: Consumer) -> set[Partition]:
    return {(topic.name, number) for topic in consumer.topics for number in range(topic.partitions)}


def _is_of_lane(consumer: Consumer, at: Partition, lane: str) -> bool:
    lanes = {topic.name: topic.priority_lane for topic in consumer.topics}
    own = lanes.get(at[0], "") if at[1] == PRIORITY_PARTITION else ""
    return at[0] in lanes and own == lane


def _unbegun(at: Partition, kafka: ClusterState | None) -> Progress:
    """A partition that the consumer has never held, or whose topic was made anew: it will begin at the oldest message."""
    if kafka is None or at not in kafka.bounds:
        return Progress(*at, 0, None, None)
    low, end = kafka.bounds[at]
    return Progress(*at, low, end - low, None if end > low else 0.0)


def _progress(row: ConsumerOffset, kafka: ClusterState | None, now: datetime) -> Progress:
    at = _at(row)
    if kafka is None or at not in kafka.bounds:
        return Progress(row.topic, row.partition, row.next_offset, None, None)
    if kafka.uuids.get(row.topic, row.topic_uuid) != row.topic_uuid:
        return _unbegun(at, kafka)
    lag = max(0, kafka.bounds[at][1] - row.next_offset)
    since = kafka.first_waiting.get((*at, row.next_offset))
    waiting = 0.0 if not lag else None if since is None else max(0.0, now.timestamp() - since)
    return Progress(row.topic, row.partition, row.next_offset, lag, waiting)
