"""What the brokers say of themselves, asked all at once; what they do not say in time stays open.

Costs at most six kinds of questions, whatever the number of topics and events, and ANSWER_SECONDS + READ_SECONDS at most:
a broker that hangs is told from one that is gone, and neither makes a page wait.
"""

import time
import warnings
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, as_completed, wait
from typing import Any, Final

import msgspec
from confluent_kafka import KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, OffsetSpec
from django.conf import settings

from kafka_bridge.brokers import client, reader, topic_admin
from kafka_bridge.brokers.reader import Place
from kafka_bridge.events.topics import Partition, Topic

ANSWER_SECONDS: Final = 0.55
READ_SECONDS: Final = 0.25  # for the messages that wait, which are read when it is known where
SETTINGS_SECONDS: Final = 60.0  # how long a topic's settings are remembered: it is a person who changes them


class PartitionState(msgspec.Struct, frozen=True):
    """A partition as the brokers have it; `low` and `end` bound the offsets that are there, None where nobody said."""

    number: int
    leader: int  # -1: none
    replicas: int
    in_sync: int
    low: int | None
    end: int | None


class TopicState(msgspec.Struct, frozen=True):
    """A declared topic; without partitions nobody said which it has, unless it is `missing`: nobody created it.

    `retention_ms` is what the broker has: -1 for ever, None where it did not say.
    """

    name: str
    partitions: list[PartitionState]
    retention_ms: int | None
    missing: bool = False

    @property
    def messages(self) -> int | None:
        """How many are there now. (How many bytes, only a broker's log directories tell, which librdkafka cannot ask for.)"""
        lows, end = [one.low for one in self.partitions if one.low is not None], self.end
        return end - sum(lows) if end is not None and len(lows) == len(self.partitions) else None

    @property
    def end(self) -> int | None:
        """How many there have ever been."""
        ends = [one.end for one in self.partitions if one.end is not None]
        return sum(ends) if self.partitions and len(ends) == len(self.partitions) else None


class Seen(msgspec.Struct, frozen=True):
    """What the brokers said. A partition or group that is in none of these was not spoken of."""

    brokers: dict[int, str]  # by id, as host:port
    topics: list[TopicState]
    uuids: dict[str, str]  # by topic: one that was deleted and made anew has another
    bounds: dict[Partition, tuple[int, int]]  # the oldest offset and the next one
    members: dict[str, list[str]]  # hosts, by group
    first_waiting: dict[Place, float]  # Unix seconds of the next message, where one waits
    unanswered: list[str]  # in Spanish


def ask(groups: list[str], places: list[Place]) -> Seen | None:
    """None where no broker says anything. `places`: where consumers go on, whose next message's moment is asked for."""
    deadline = time.monotonic() + ANSWER_SECONDS + READ_SECONDS
    topics = topic_admin.declared_topics()
    partitions = {(topic.name, number) for topic in topics for number in range(topic.partitions)}
    asked = _Questions(topics, groups, sorted(partitions | {place[:2] for place in places}))
    wait(asked.all(), timeout=ANSWER_SECONDS)
    bounds = asked.bounds()
    seen = asked.seen(bounds)
    if seen.unanswered and not _line.find_another() and not any(map(_has_answer, asked.all())):
        return None
    waiting = [place for place in places if bounds.get(place[:2], (0, 0))[1] > place[2]]
    first = reader.at_offsets(waiting, seconds=max(0.05, deadline - time.monotonic()))
    since = {place: message.timestamp()[1] / 1_000 for place, message in first.items()}
    return msgspec.structs.replace(seen, first_waiting=since)


_blocking: Final = ThreadPoolExecutor(2, "kafka-groups")


class _Line:
    """The client that questions go through.

    librdkafka goes on asking a broker that hangs, while the others are well. Then a client that knows but one broker each
    finds out whether any answers, and is the one to ask through from then on.
    """

    def __init__(self) -> None:
        self.addresses: set[str] = set()  # of the brokers, as last seen
        self.clients: dict[str, AdminClient] = {}
        self.chosen: AdminClient | None = None

    def admin(self) -> AdminClient:
        return self.chosen or client.admin()

    def find_another(self) -> bool:
        """Whether a broker answers by itself within READ_SECONDS."""
        addresses = self.addresses | set(settings.KAFKA_CLIENT_CONFIG["bootstrap.servers"].split(","))
        asked = {self._at(address).describe_cluster(request_timeout=READ_SECONDS): address for address in addresses}
        try:
            answered = next((one for one in as_completed(asked, timeout=READ_SECONDS) if _has_answer(one)), None)
        except TimeoutError:
            answered = None
        self.chosen = self.clients[asked[answered]] if answered else None
        return answered is not None

    def _at(self, address: str) -> AdminClient:
        if address not in self.clients:
            config: dict[str, str | int | float | bool] = {**settings.KAFKA_CLIENT_CONFIG, "bootstrap.servers": address}
            self.clients[address] = AdminClient(config, logger=client.client_logger)
        return self.clients[address]


_line = _Line()


class _Questions:
    """All questions, under way."""

    def __init__(self, topics: list[Topic], groups: list[str], partitions: list[Partition]) -> None:
        admin, self.topics, self.groups = _line.admin(), topics, groups
        names, limit = [topic.name for topic in topics], {"request_timeout": ANSWER_SECONDS}
        at = [TopicPartition(*partition) for partition in partitions]
        self.cluster = admin.describe_cluster(**limit)
        self.described = admin.describe_topics(TopicCollection(names), **limit)
        earliest: OffsetSpec = OffsetSpec.earliest()
        latest: OffsetSpec = OffsetSpec.latest()
        self.lows = admin.list_offsets(dict.fromkeys(at, earliest), **limit)
        self.ends = admin.list_offsets(dict.fromkeys(at, latest), **limit)
        # Not describe_consumer_groups: librdkafka 2.16 aborts the process where a coordinator hangs (ADR 12).
        self.members = _blocking.submit(_list_groups, admin)
        self.settings = _settings.ask(names)

    def all(self) -> "list[Future[Any]]":
        by_name = (self.described, self.lows, self.ends, self.settings)
        return [self.cluster, self.members, *(future for futures in by_name for future in futures.values())]

    def bounds(self) -> dict[Partition, tuple[int, int]]:
        both = {(at.topic, at.partition): (_answer(self.lows[at]), _answer(self.ends[at])) for at in self.lows}
        return {at: (low.offset, end.offset) for at, (low, end) in both.items() if low and end}

    def seen(self, bounds: dict[Partition, tuple[int, int]]) -> Seen:
        described = {name: found for name, future in self.described.items() if (found := _answer(future))}
        retention = _settings.answered(self.settings)
        return Seen(
            brokers=self._brokers(described.values()),
            topics=[self._topic(topic.name, described, bounds, retention) for topic in self.topics],
            uuids={name: str(found.topic_id) for name, found in described.items()},
            bounds=bounds,
            members=self._hosts(),
            first_waiting={},
            unanswered=list(self._unanswered(bounds)),
        )

    def _hosts(self) -> dict[str, list[str]]:
        """By group, of its members; a group that no broker lists has none."""
        listed = _answer(self.members)
        hosts = {group.id: [member.client_host for member in group.members] for group in listed or ()}
        return {group: hosts.get(group, []) for group in self.groups} if listed is not None else {}

    def _brokers(self, described: Iterable[Any]) -> dict[int, str]:
        """The cluster's; where it did not say, those that hold a topic's partitions."""
        cluster = _answer(self.cluster)
        holders = (node for topic in described for partition in topic.partitions for node in partition.replicas)
        nodes = cluster.nodes if cluster else holders
        found = dict(sorted((node.id, f"{node.host}:{node.port}") for node in nodes if node.host))
        _line.addresses = set(found.values()) or _line.addresses
        return found

    def _topic(
        self, name: str, described: dict[str, Any], bounds: dict[Partition, tuple[int, int]], retention: dict[str, int]
    ) -> TopicState:
        partitions = [
            PartitionState(
                one.id,
                one.leader.id if one.leader else -1,
                len(one.replicas),
                len(one.isr),
                *bounds.get((name, one.id), (None, None)),
            )
            for one in (described[name].partitions if name in described else ())
        ]
        return TopicState(name, partitions, retention.get(name), missing=_is_missing(self.described[name]))

    def _unanswered(self, bounds: dict[Partition, tuple[int, int]]) -> Iterator[str]:
        missing = {name for name, future in self.described.items() if _is_missing(future)}
        topics = [name for name, future in self.described.items() if not _has_answer(future) and name not in missing]
        unbounded = [at for at in self.lows if at.topic not in missing and (at.topic, at.partition) not in bounds]
        if topics:
            yield f"cómo están {len(topics)} tópicos"
        if unbounded:
            yield f"hasta dónde llegan {len(unbounded)} particiones"
        if _answer(self.members) is None:
            yield "quién atiende a cada grupo"


def _list_groups(admin: AdminClient) -> Any:
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        return admin.list_groups(timeout=ANSWER_SECONDS)


def _has_answer(future: "Future[Any]") -> bool:
    """A broker's refusal is one too."""
    return future.done() and (future.exception() is None or not _is_silence(future.exception()))


def _is_silence(error: BaseException | None) -> bool:
    silent = (KafkaError._TIMED_OUT, KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN, KafkaError._TIMED_OUT_QUEUE)
    return not isinstance(error, KafkaException) or error.args[0].code() in silent


def _is_missing(future: "Future[Any]") -> bool:
    error = future.exception() if future.done() else None
    return isinstance(error, KafkaException) and error.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART


def _answer(future: "Future[Any]") -> Any:
    """None where the brokers have not said, or refused."""
    return future.result() if future.done() and future.exception() is None else None


class _Settings:
    """The topics' retention in milliseconds, asked once a minute. Only answers are remembered."""

    def __init__(self) -> None:
        self.known: dict[str, int] = {}
        self.until = 0.0

    def ask(self, names: list[str]) -> "dict[str, Future[Any]]":
        if time.monotonic() < self.until and self.known.keys() >= set(names):
            return {}
        resources = [ConfigResource(ConfigResource.Type.TOPIC, name) for name in names]
        futures = _line.admin().describe_configs(resources, request_timeout=ANSWER_SECONDS)
        return {resource.name: future for resource, future in futures.items()}

    def answered(self, futures: "dict[str, Future[Any]]") -> dict[str, int]:
        """What is known now."""
        found = {name: int(one["retention.ms"].value) for name, future in futures.items() if (one := _answer(future))}
        if futures:
            self.known, self.until = found, time.monotonic() + SETTINGS_SECONDS
        return self.known


_settings = _Settings()
