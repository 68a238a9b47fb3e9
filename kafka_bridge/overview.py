"""The whole system at this moment: brokers, topics, consumers, outbox, dead letters, what is owed, and in words what is wrong.

Costs three queries and one for each thing that an app owes (duties.py), and what cluster.py asks of Kafka; without Kafka it
takes cluster.ANSWER_SECONDS and tells the rest. The same for the admin's page, the terminal (`manage.py estado`) and /metrics.
"""

import threading
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Final

import msgspec
from django.db.models import Count, Min, Q
from django.utils import timezone

from kafka_bridge import cluster, duties
from kafka_bridge.cluster import Seen, TopicState
from kafka_bridge.duties import Duty
from kafka_bridge.handlers import Consumer, consumers
from kafka_bridge.models import ConsumerOffset, DeadLetter, OutboxMessage
from kafka_bridge.topics import PRIORITY_PARTITION, Partition

SLOW_SECONDS: Final = 60.0  # what waits for longer is worth a sentence
ALL_WELL: Final = "Los consumidores están al día, nada espera su turno ni un correo más de lo debido."
PAUSED_SECONDS: Final = 30.0  # a batch that takes longer is cut short (batch.TRANSACTION_TIMEOUT_MS)
MANY_MESSAGES: Final = 1_000  # so many are worth one too, where nobody knows for how long they wait


class Progress(msgspec.Struct, frozen=True):
    """A consumer on one partition. `lag` in messages, None without Kafka; `waiting_s`: since when its next message waits."""

    topic: str
    partition: int
    next_offset: int
    lag: int | None
    waiting_s: float | None


class GroupState(msgspec.Struct, frozen=True):
    """A consumer's lane. What is None, Kafka did not say. Times are ISO 8601, UTC.

    `still_s`: for how long none of its offsets has moved. Its waits for a server and undone batches are its process's own
    counters (metrics.OUTAGES, FENCED).
    """

    group: str
    consumer: str
    lane: str
    members: int | None
    hosts: list[str]
    progress: list[Progress]
    last_batch: str | None
    open_dead_letters: int
    recent_dead_letters: int  # of the last hour, whatever became of them
    still_s: float = 0.0

    @property
    def lag(self) -> int | None:
        """None where any partition's is unknown."""
        known = [one.lag for one in self.progress if one.lag is not None]
        return sum(known) if len(known) == len(self.progress) else None

    @property
    def waiting_s(self) -> float | None:
        """None where any partition's is unknown."""
        known = [one.waiting_s for one in self.progress if one.waiting_s is not None]
        return max(known, default=0.0) if len(known) == len(self.progress) else None

    @property
    def state(self) -> str:
        """In a word, in Spanish."""
        if self.members == 0:
            return "detenido"
        if self.members is None or self.lag is None:
            return "?"
        if self.lag == 0:
            return "al día"
        return "en pausa" if self.paused else "aplicando"

    @property
    def paused(self) -> bool:
        """It has members, messages wait, and none is applied: it waits out an outage, or its partitions are paused."""
        return bool(self.members and self.lag) and min(self.still_s, self.waiting_s or self.still_s) > PAUSED_SECONDS


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
    duties: list[Duty]
    problems: list[Problem]


def look(now: datetime | None = None) -> Overview:
    """Looks at everything once. Raises django.db errors where the database does not answer."""
    now = now or timezone.now()
    offsets = list(ConsumerOffset.objects.filter(consumer__in=consumers))
    names = [_group_id(consumer, lane) for consumer, lane in _lanes()]
    kafka = cluster.ask(names, [(row.topic, row.partition, row.next_offset) for row in offsets])
    dead, outbox, owed = _dead_letters(now), _outbox(now), duties.all_of(now)
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


# Both sides together


def _group_id(consumer: Consumer, lane: str) -> str:
    return f"{consumer.name}.{lane}" if lane else consumer.name


def _group(  # noqa: PLR0913, PLR0917 - what was looked up, and for whom
    consumer: Consumer,
    lane: str,
    rows: list[ConsumerOffset],
    kafka: Seen | None,
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


def _unbegun(at: Partition, kafka: Seen | None) -> Progress:
    """A partition that the consumer has never held, or whose topic was made anew: it will begin at the oldest message."""
    if kafka is None or at not in kafka.bounds:
        return Progress(*at, 0, None, None)
    low, end = kafka.bounds[at]
    return Progress(*at, low, end - low, None if end > low else 0.0)


def _progress(row: ConsumerOffset, kafka: Seen | None, now: datetime) -> Progress:
    at = _at(row)
    if kafka is None or at not in kafka.bounds:
        return Progress(row.topic, row.partition, row.next_offset, None, None)
    if kafka.uuids.get(row.topic, row.topic_uuid) != row.topic_uuid:
        return _unbegun(at, kafka)
    lag = max(0, kafka.bounds[at][1] - row.next_offset)
    since = kafka.first_waiting.get((*at, row.next_offset))
    waiting = 0.0 if not lag else None if since is None else max(0.0, now.timestamp() - since)
    return Progress(row.topic, row.partition, row.next_offset, lag, waiting)


# In words


def _of_kafka(kafka: Seen | None) -> Iterator[Problem]:
    if kafka is None:
        yield Problem(
            "Kafka no responde.",
            "Lo que llega se guarda en la base de datos y saldrá solo cuando vuelva; mientras tanto no se procesa. "
            "Revisa que los brokers estén corriendo y que la red los alcance.",
            grave=True,
        )
        return
    if kafka.unanswered:
        yield Problem(
            f"Kafka responde a medias: no dijo {'; ni '.join(kafka.unanswered)}.",
            "Lo que lleva «?» no se sabe. Si no pasa en un minuto, un broker está congelado o sobrecargado: revísalos.",
            grave=True,
        )
    for topic in kafka.topics:
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


def _of_outbox(outbox: Outbox, kafka: Seen | None) -> Iterator[Problem]:
    if outbox.messages and outbox.oldest_s > SLOW_SECONDS and kafka is not None:
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
        elif group.paused:
            yield Problem(
                f"«{group.group}» está en pausa: tiene procesos y no aplica nada hace {duration(group.still_s)}.{late}",
                "Suele esperar a la base de datos, y sigue solo: no lo reinicies, su registro dice qué espera.",
                grave=True,
            )
        elif _is_late(group):
            wait = "no se sabe hace cuánto" if group.waiting_s is None else f"hace {duration(group.waiting_s)}"
            yield Problem(
                f"«{group.group}» va atrasado: el mensaje más antiguo espera {wait}.{late}",
                "Si el atraso baja, espera. Si sube, inicia otro proceso igual; si no se mueve, mira su registro.",
                grave=True,
            )


def _is_late(group: GroupState) -> bool:
    if group.waiting_s is None:
        return (group.lag or 0) > MANY_MESSAGES
    return group.waiting_s > SLOW_SECONDS


def _of_duties(owed: Iterable[Duty]) -> Iterator[Problem]:
    for duty in owed:
        if duty.overdue_s > duty.patience_s:
            yield Problem(f"{duty.late} hace {duration(duty.overdue_s)}.", duty.late_do, grave=True)
        if duty.failed:
            yield Problem(f"{duty.failed} {duty.failure}.", duty.failure_do, grave=False)


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
