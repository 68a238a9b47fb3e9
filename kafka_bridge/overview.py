"""The whole system at this moment: brokers, topics, consumers, outbox, dead letters, and in words what is wrong.

Costs three queries and at most six questions to Kafka, whatever the number of topics and events; without Kafka it takes
`KAFKA_SECONDS` and tells the rest. The same for the admin's page, the terminal (`manage.py estado`) and /metrics.
"""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import ClusterMetadata, ConfigResource, OffsetSpec
from django.db.models import Count, Min, Q
from django.utils import timezone

from kafka_bridge import broker, reader
from kafka_bridge.batch import Partition
from kafka_bridge.handlers import Consumer, consumers
from kafka_bridge.models import ConsumerOffset, DeadLetter, OutboxMessage
from kafka_bridge.reader import Place
from kafka_bridge.topics import PRIORITY_PARTITION, Topic

KAFKA_SECONDS: Final = 0.8
SLOW_SECONDS: Final = 60.0  # what waits for longer is worth a sentence
RETENTION_SECONDS: Final = 60.0  # how long a topic's settings are remembered


class PartitionState(msgspec.Struct, frozen=True):
    """A partition as the brokers have it; `low` and `end` bound the offsets that are there."""

    number: int
    leader: int  # -1: none
    replicas: int
    in_sync: int
    low: int
    end: int


class TopicState(msgspec.Struct, frozen=True):
    """A declared topic. `retention_ms` is what the broker has, None where it did not say; `missing`: nobody created it."""

    name: str
    partitions: list[PartitionState]
    retention_ms: int | None
    missing: bool = False

    @property
    def messages(self) -> int:
        """How many are there now."""
        return sum(partition.end - partition.low for partition in self.partitions)


class Progress(msgspec.Struct, frozen=True):
    """A consumer on one partition. `lag` in messages, None without Kafka; `waiting_s`: since when its next message waits."""

    topic: str
    partition: int
    next_offset: int
    lag: int | None
    waiting_s: float | None


class GroupState(msgspec.Struct, frozen=True):
    """A consumer's lane. `members` is None where Kafka did not say. Times are ISO 8601, UTC."""

    group: str
    consumer: str
    lane: str
    members: int | None
    hosts: list[str]
    progress: list[Progress]
    last_batch: str | None
    open_dead_letters: int
    recent_dead_letters: int  # of the last hour, whatever became of them

    @property
    def lag(self) -> int:
        return sum(progress.lag or 0 for progress in self.progress)

    @property
    def waiting_s(self) -> float:
        return max((progress.waiting_s or 0.0 for progress in self.progress), default=0.0)


class Outbox(msgspec.Struct, frozen=True):
    """What waits for Kafka in the database; `oldest_s` is 0 where nothing does."""

    messages: int
    oldest_s: float


class Problem(msgspec.Struct, frozen=True):
    """What is wrong, and what to do about it, in Spanish. `grave`: the guild is not served, or soon will not be."""

    what: str
    do: str
    grave: bool


class Overview(msgspec.Struct, frozen=True):
    """`brokers` by id, as host:port; None where Kafka does not answer. `at`: Unix seconds."""

    at: float
    brokers: dict[int, str] | None
    topics: list[TopicState]
    groups: list[GroupState]
    outbox: Outbox
    problems: list[Problem]


class _Kafka(msgspec.Struct, frozen=True):
    """What the brokers said."""

    brokers: dict[int, str]
    topics: list[TopicState]
    members: dict[str, list[str]]  # hosts, by group
    first_waiting: dict[Place, float]  # Unix seconds of the next message, where one waits
    bounds: dict[Partition, tuple[int, int]]  # the oldest offset and the next one


def look(now: datetime | None = None) -> Overview:
    """Looks at everything once. Raises django.db errors where the database does not answer."""
    now = now or timezone.now()
    offsets = list(ConsumerOffset.objects.filter(consumer__in=consumers))
    kafka = _ask_kafka([(row.topic, row.partition, row.next_offset) for row in offsets])
    dead = _dead_letters(now)
    groups = [_group(consumer, lane, offsets, kafka, dead, now) for consumer, lane in _lanes()]
    outbox, topics = _outbox(now), kafka.topics if kafka else []
    brokers = kafka.brokers if kafka else None
    problems = [*_of_kafka(brokers, topics), *_of_outbox(outbox, brokers), *_of_groups(groups), *_of_dead(groups)]
    problems.sort(key=lambda problem: not problem.grave)
    return Overview(now.timestamp(), brokers, topics, groups, outbox, problems)


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


# The database's side: three queries


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


# Kafka's side


def _ask_kafka(places: list[Place]) -> _Kafka | None:
    """None where no broker answers in time. What a broker that answers leaves out is missing from the rest."""
    deadline = time.monotonic() + KAFKA_SECONDS
    try:
        found = broker.admin().list_topics(timeout=KAFKA_SECONDS)
    except KafkaException:
        return None
    left = max(0.1, deadline - time.monotonic())
    members = _ask_members(left)
    bounds = _ask_bounds(found, left)
    topics = [_topic(topic, found, bounds, _retention().get(topic.name)) for topic in broker.declared_topics()]
    waiting = [place for place in places if bounds.get(place[:2], (0, 0))[1] > place[2]]
    brokers = {node.id: f"{node.host}:{node.port}" for node in found.brokers.values()}
    first = reader.at_offsets(waiting, seconds=max(0.1, deadline - time.monotonic()))
    since = {place: message.timestamp()[1] / 1_000 for place, message in first.items()}
    return _Kafka(brokers, topics, members, since, bounds)


def _ask_members(seconds: float) -> dict[str, list[str]]:
    groups = [_group_id(consumer, lane) for consumer, lane in _lanes()]
    futures = broker.admin().describe_consumer_groups(groups, request_timeout=seconds)
    described = {group: _answer(future) for group, future in futures.items()}
    return {group: [member.host for member in found.members] for group, found in described.items() if found}


def _ask_bounds(found: ClusterMetadata, seconds: float) -> dict[Partition, tuple[int, int]]:
    """The oldest offset and the next one, by partition; both questions under way at once."""
    names = [topic.name for topic in broker.declared_topics() if topic.name in found.topics]
    partitions = [TopicPartition(name, number) for name in names for number in found.topics[name].partitions]
    if not partitions:
        return {}
    ask = broker.admin().list_offsets
    lows, ends = (
        ask(dict.fromkeys(partitions, spec), request_timeout=seconds)
        for spec in (OffsetSpec.earliest(), OffsetSpec.latest())  # type: ignore[no-untyped-call]
    )
    both = {(at.topic, at.partition): (_answer(lows[at]), _answer(ends[at])) for at in partitions}
    return {at: (low.offset, end.offset) for at, (low, end) in both.items() if low and end}


def _answer(future: "Future[Any]") -> Any:
    """None where the broker could not say."""
    try:
        return future.result()
    except KafkaException:
        return None


def _topic(
    topic: Topic, found: ClusterMetadata, bounds: dict[Partition, tuple[int, int]], retention: int | None
) -> TopicState:
    metadata = found.topics.get(topic.name)
    if metadata is None or metadata.error is not None:
        return TopicState(topic.name, [], retention, missing=True)
    partitions = [
        PartitionState(number, one.leader, len(one.replicas), len(one.isrs), *bounds.get((topic.name, number), (0, 0)))
        for number, one in sorted(metadata.partitions.items())
    ]
    return TopicState(topic.name, partitions, retention)


_remembered: dict[str, int] = {}
_remembered_until = 0.0


def _retention() -> dict[str, int]:
    """What the brokers keep, in milliseconds by topic, asked once a minute: it is a person who changes it."""
    global _remembered, _remembered_until  # noqa: PLW0603 - a memory is a process's own
    if time.monotonic() > _remembered_until:
        resources = [ConfigResource(ConfigResource.Type.TOPIC, topic.name) for topic in broker.declared_topics()]
        futures = broker.admin().describe_configs(resources, request_timeout=KAFKA_SECONDS / 2)
        answers = {resource.name: _answer(future) for resource, future in futures.items()}
        _remembered = {name: int(found["retention.ms"].value) for name, found in answers.items() if found}
        _remembered_until = time.monotonic() + RETENTION_SECONDS
    return _remembered


# Both sides together


def _group_id(consumer: Consumer, lane: str) -> str:
    return f"{consumer.name}.{lane}" if lane else consumer.name


def _group(  # noqa: PLR0913, PLR0917 - what was looked up, and for whom
    consumer: Consumer,
    lane: str,
    rows: list[ConsumerOffset],
    kafka: _Kafka | None,
    dead: dict[str, tuple[int, int]],
    now: datetime,
) -> GroupState:
    ours = [row for row in rows if row.consumer == consumer.name and _is_of_lane(consumer, _at(row), lane)]
    never_held = set(kafka.bounds if kafka else ()) - {_at(row) for row in ours}
    progress = [_progress(row, kafka, now) for row in ours]
    progress += [_unbegun(at, kafka.bounds[at]) for at in never_held if kafka and _is_of_lane(consumer, at, lane)]
    hosts = kafka.members.get(_group_id(consumer, lane)) if kafka else None
    opened, recent = dead.get(consumer.name, (0, 0))
    return GroupState(
        group=_group_id(consumer, lane),
        consumer=consumer.name,
        lane=lane,
        members=None if hosts is None else len(hosts),
        hosts=sorted(set(hosts or [])),
        progress=sorted(progress, key=lambda one: (one.topic, one.partition)),
        last_batch=max((row.updated_at.astimezone(UTC).isoformat() for row in ours), default=None),
        open_dead_letters=opened,
        recent_dead_letters=recent,
    )


def _at(row: ConsumerOffset) -> Partition:
    return row.topic, row.partition


def _is_of_lane(consumer: Consumer, at: Partition, lane: str) -> bool:
    lanes = {topic.name: topic.priority_lane for topic in consumer.topics}
    own = lanes.get(at[0], "") if at[1] == PRIORITY_PARTITION else ""
    return at[0] in lanes and own == lane


def _unbegun(at: Partition, bounds: tuple[int, int]) -> Progress:
    """A partition that the consumer has never held: it will begin at the oldest message."""
    low, end = bounds
    return Progress(*at, low, end - low, None if end > low else 0.0)


def _progress(row: ConsumerOffset, kafka: _Kafka | None, now: datetime) -> Progress:
    at = (row.topic, row.partition)
    if kafka is None or at not in kafka.bounds:
        return Progress(row.topic, row.partition, row.next_offset, None, None)
    lag = max(0, kafka.bounds[at][1] - row.next_offset)
    since = kafka.first_waiting.get((*at, row.next_offset))
    waiting = 0.0 if not lag else None if since is None else max(0.0, now.timestamp() - since)
    return Progress(row.topic, row.partition, row.next_offset, lag, waiting)


# In words


def _of_kafka(brokers: dict[int, str] | None, topics: list[TopicState]) -> Iterator[Problem]:
    if brokers is None:
        yield Problem(
            "Kafka no responde.",
            "Lo que llega se guarda en la base de datos y saldrá solo cuando vuelva; mientras tanto no se procesa. "
            "Revisa que los brokers estén corriendo y que la red los alcance.",
            grave=True,
        )
    for topic in topics:
        if topic.missing:
            yield Problem(f"Falta el tópico {topic.name}.", "Ejecuta manage.py create_topics.", grave=True)
        yield from _of_partitions(topic)


def _of_partitions(topic: TopicState) -> Iterator[Problem]:
    headless = [partition.number for partition in topic.partitions if partition.leader < 0]
    thin = [one.number for one in topic.partitions if one.number not in headless and one.in_sync < one.replicas]
    if headless:
        what = f"{topic.name} no tiene líder en {_partitions(headless)}: ahí no se puede escribir ni leer."
        yield Problem(what, "Levanta el broker que falta: ninguno de los vivos tiene esos datos al día.", grave=True)
    if thin:
        what = f"{topic.name} tiene menos copias de las debidas en {_partitions(thin)}."
        yield Problem(
            what, "No se ha perdido nada. Levanta el broker caído; las copias se completan solas.", grave=False
        )


def _partitions(numbers: list[int]) -> str:
    return f"la partición {numbers[0]}" if len(numbers) == 1 else f"{len(numbers)} particiones"


def _of_outbox(outbox: Outbox, brokers: dict[int, str] | None) -> Iterator[Problem]:
    if outbox.messages and outbox.oldest_s > SLOW_SECONDS and brokers is not None:
        yield Problem(
            f"El outbox tiene {outbox.messages} mensajes; el más antiguo espera hace {duration(outbox.oldest_s)}.",
            "Kafka responde, así que falta quien los envíe: revisa que manage.py run_outbox_relay esté corriendo.",
            grave=True,
        )


def _of_groups(groups: list[GroupState]) -> Iterator[Problem]:
    for group in groups:
        late = f" Le faltan {group.lag} mensajes." if group.lag else ""
        if group.members == 0:
            yield Problem(
                f"Nadie atiende «{group.group}».{late}",
                f"Inicia manage.py run_consumer {group.consumer}. Si se detuvo solo, su registro dice por qué.",
                grave=True,
            )
        elif group.members and group.waiting_s > SLOW_SECONDS:
            yield Problem(
                f"«{group.group}» va atrasado: el mensaje más antiguo espera hace {duration(group.waiting_s)}.{late}",
                "Si el atraso baja, espera. Si sube, inicia otro proceso igual; si no se mueve, mira su registro.",
                grave=True,
            )


def _of_dead(groups: list[GroupState]) -> Iterator[Problem]:
    for group in groups:
        if group.open_dead_letters and not group.lane:
            yield Problem(
                f"«{group.consumer}» tiene {group.open_dead_letters} mensajes no procesados.",
                "Revísalos en «mensajes no procesados»: corrige y reenvía, o descarta con un motivo.",
                grave=False,
            )


def duration(seconds: float) -> str:
    """As people say it: 8 s, 3 min, 2 h, 4 días."""
    for size, unit in ((86_400, "días"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
