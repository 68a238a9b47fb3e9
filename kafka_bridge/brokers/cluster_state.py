"""The state of the cluster, by requests that run at the same time and are never waited for long.

At most eight kinds of requests are sent, whatever the number of topics and events, and they take at
most ANSWER_SECONDS + READ_SECONDS. A broker that hangs is told apart from one that is gone; neither
makes a page wait. What has no answer in time stays None or missing.
"""

import time
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, as_completed, wait
from typing import Any, Final

import msgspec
from confluent_kafka import IsolationLevel, KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, OffsetSpec
from django.conf import settings
from django.utils.translation import gettext, ngettext

from kafka_bridge.brokers import certificate, client, group_members, reader, topic_admin
from kafka_bridge.brokers.group_members import OFFSETS_TOPIC, Groups, ListedGroups
from kafka_bridge.brokers.messages import stored_at
from kafka_bridge.brokers.reader import Place
from kafka_bridge.diagnosis import NO_RIGHTS
from kafka_bridge.events.topics import Partition, Topic

ANSWER_SECONDS: Final = 0.55
LIST_SECONDS: Final = 0.5  # for the brokers' lists of groups: what came is known within ANSWER_SECONDS
READ_SECONDS: Final = 0.25  # for reading the next messages of consumers, after their places are known
RETENTION_SECONDS: Final = 60.0  # how long a topic's retention is cached: only people change it


class PartitionState(msgspec.Struct, frozen=True):
    """A partition on the brokers.

    `low` and `end` bound the offsets that exist; they are None if no broker answered.
    """

    number: int
    leader: int  # -1: none
    replicas: int
    in_sync: int
    low: int | None
    end: int | None


class TopicState(msgspec.Struct, frozen=True):
    """A declared topic on the brokers.

    Without partitions, the topic is `missing` (not created yet), there are `no_rights` to it, or no
    broker described it. `declared` is how many partitions it should have.
    `retention_ms` is the brokers' value: -1 without end, None if no broker answered.
    """

    name: str
    partitions: list[PartitionState]
    retention_ms: int | None
    missing: bool = False
    no_rights: bool = False
    declared: int = 0

    @property
    def messages(self) -> int | None:
        """The number of messages in the topic now; None if unknown.

        Bytes are unknown: only a broker's log directories tell them, and librdkafka has no request
        for those.
        """
        lows, end = [one.low for one in self.partitions if one.low is not None], self.end
        return end - sum(lows) if end is not None and len(lows) == len(self.partitions) else None

    @property
    def end(self) -> int | None:
        """The number of messages that were ever in the topic; None if unknown."""
        ends = [one.end for one in self.partitions if one.end is not None]
        return sum(ends) if self.partitions and len(ends) == len(self.partitions) else None


class ClusterState(msgspec.Struct, frozen=True):
    """The brokers' answers. A partition or group without an answer is missing from the dicts.

    A group with no hosts in `members` has no member: Kafka said so.
    """

    brokers: dict[int, str]  # host:port, by broker id
    topics: list[TopicState]
    uuids: dict[str, str]  # topic id, by topic: a deleted and recreated topic has another
    bounds: dict[Partition, tuple[int, int]]  # the oldest offset and the next one
    stable: dict[Partition, int]  # the end for consumers: where the first open transaction begins
    members: dict[str, list[str]]  # hosts, by group
    first_waiting: dict[Place, float]  # Unix seconds of the next message, where one waits
    unanswered: list[str]  # translated phrases that follow "Kafka did not say ..."


def fetch(groups: list[str], places: list[Place]) -> ClusterState | None:
    """Return the cluster's state; None if no broker answers anything.

    `places` are where the consumers continue; the times of the next messages there are read, too.
    """
    deadline = time.monotonic() + ANSWER_SECONDS + READ_SECONDS
    topics = topic_admin.declared_topics()
    partitions = {(topic.name, number) for topic in topics for number in range(topic.partitions)}
    requests = _Requests(topics, groups, sorted(partitions | {place[:2] for place in places}))
    wait([*requests.all(), requests.listed_groups], timeout=ANSWER_SECONDS)
    bounds = requests.bounds()
    state = requests.state(bounds)
    if state.unanswered and not _admin_clients.find_answering() and not any(map(_has_answer, requests.all())):
        return None
    waiting = [place for place in places if bounds.get(place[:2], (0, 0))[1] > place[2]]
    first = reader.at_offsets(waiting, seconds=max(0.05, deadline - time.monotonic()))
    since = {place: at.timestamp() for place, message in first.items() if (at := stored_at(message))}
    return msgspec.structs.replace(state, first_waiting=since)


def forget() -> None:
    """Drop the cached retention, the chosen client and the groups that were listed."""
    _admin_clients.forget()
    _retention.forget()
    _listed.forget()


class _Requests:
    """All requests, under way."""

    def __init__(self, topics: list[Topic], groups: list[str], partitions: list[Partition]) -> None:
        admin = _admin_clients.current()
        limit = {"request_timeout": ANSWER_SECONDS}
        names = [topic.name for topic in topics]
        places = [TopicPartition(*partition) for partition in partitions]
        earliest: OffsetSpec = OffsetSpec.earliest()
        latest: OffsetSpec = OffsetSpec.latest()
        self.topics = topics
        self.groups = groups
        self.cluster = admin.describe_cluster(**limit)
        described = admin.describe_topics(TopicCollection([*names, OFFSETS_TOPIC]), **limit)
        # Copied, because the client counts on its dict.
        self.described = {name: described[name] for name in names}
        self.offsets_topic = described[OFFSETS_TOPIC]
        self.lows = admin.list_offsets(dict.fromkeys(places, earliest), **limit)
        self.ends = admin.list_offsets(dict.fromkeys(places, latest), **limit)
        self.stable = admin.list_offsets(
            dict.fromkeys(places, latest), isolation_level=IsolationLevel.READ_COMMITTED, **limit
        )
        self.described_groups = group_members.describe(admin, ANSWER_SECONDS)
        self.listed_groups = admin.list_consumer_groups(request_timeout=LIST_SECONDS)
        self.retention = _retention.request(admin, names)

    def all(self) -> "list[Future[Any]]":
        """Return all but `listed_groups`, which has a result although no broker answers."""
        by_name = (self.described, self.lows, self.ends, self.stable, self.retention)
        one_each = (self.cluster, self.offsets_topic, self.described_groups)
        return [*one_each, *(future for futures in by_name for future in futures.values())]

    def bounds(self) -> dict[Partition, tuple[int, int]]:
        both = {(at.topic, at.partition): (_answer(self.lows[at]), _answer(self.ends[at])) for at in self.lows}
        return {at: (low.offset, end.offset) for at, (low, end) in both.items() if low and end}

    def state(self, bounds: dict[Partition, tuple[int, int]]) -> ClusterState:
        described = {name: found for name, future in self.described.items() if (found := _answer(future))}
        retention = _retention.store(self.retention)
        members = self._members()
        return ClusterState(
            brokers=self._brokers(described.values()),
            topics=[self._topic(topic, described, bounds, retention) for topic in self.topics],
            uuids={name: str(found.topic_id) for name, found in described.items()},
            bounds=bounds,
            stable={
                (at.topic, at.partition): one.offset for at, future in self.stable.items() if (one := _answer(future))
            },
            members=members,
            first_waiting={},
            unanswered=list(self._unanswered(bounds, members)),
        )

    def _brokers(self, described: Iterable[Any]) -> dict[int, str]:
        """Return the cluster's brokers; without that answer, the holders of the partitions."""
        cluster = _answer(self.cluster)
        holders = (node for topic in described for partition in topic.partitions for node in partition.replicas)
        nodes = cluster.nodes if cluster else holders
        found = dict(sorted((node.id, f"{node.host}:{node.port}") for node in nodes if node.host))
        _admin_clients.learn(found.values())
        return found

    def _topic(
        self,
        topic: Topic,
        described: dict[str, Any],
        bounds: dict[Partition, tuple[int, int]],
        retention: dict[str, int],
    ) -> TopicState:
        name = topic.name
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
        return TopicState(
            name,
            partitions,
            retention.get(name),
            missing=_is_missing(self.described[name]),
            no_rights=_has_no_rights(self.described[name]),
            declared=topic.partitions,
        )

    def _members(self) -> dict[str, list[str]]:
        described, listed = _answer(self.described_groups) or [], _answer(self.listed_groups)
        found = Groups.read(described, listed, all_led=self._offsets_are_led())
        members = found.members(self.groups, lately=_listed.lately())
        _listed.note([*found.hosts, *found.states])
        return members

    def _offsets_are_led(self) -> bool:
        """Return False if a partition of the offsets' topic may have no leader, nor its groups.

        Without the topic there was never a group. Where this process has no rights to it, what the
        brokers list must do.
        """
        if _is_missing(self.offsets_topic) or _has_no_rights(self.offsets_topic):
            return True
        found = _answer(self.offsets_topic)
        return found is not None and all(one.leader and one.leader.id >= 0 for one in found.partitions)

    def _unanswered(self, bounds: dict[Partition, tuple[int, int]], members: dict[str, list[str]]) -> Iterator[str]:
        missing = {name for name, one in self.described.items() if _is_missing(one) or _has_no_rights(one)}
        topics = [name for name, future in self.described.items() if not _has_answer(future) and name not in missing]
        unbounded = [
            at
            for at, low in self.lows.items()
            if at.topic not in missing and not _is_missing(low) and (at.topic, at.partition) not in bounds
        ]
        if topics:
            count = len(topics)
            yield ngettext("how %(count)d topic is", "how %(count)d topics are", count) % {"count": count}
        if unbounded:
            count = len(unbounded)
            yield ngettext("how far %(count)d partition reaches", "how far %(count)d partitions reach", count) % {
                "count": count
            }
        if len(members) < len(set(self.groups)):
            yield gettext("who serves each group")


class _AdminClients:
    """The admin client for the requests.

    librdkafka keeps asking a broker that hangs, although the others are well. Then one client per
    broker, which knows only that broker, finds out whether any answers; the next requests use the
    first that does.
    """

    def __init__(self) -> None:
        self._addresses: set[str] = set()  # of the brokers, as last seen
        self._by_address: dict[tuple[str, certificate.Version], AdminClient] = {}
        self._chosen: AdminClient | None = None

    def current(self) -> AdminClient:
        return self._chosen or client.admin()

    def learn(self, addresses: Iterable[str]) -> None:
        """Keep the brokers' addresses, unless there are none."""
        self._addresses = set(addresses) or self._addresses

    def find_answering(self) -> bool:
        """Choose a broker that answers by itself within READ_SECONDS; return False if none does."""
        addresses = self._addresses | set(settings.KAFKA_CLIENT_CONFIG["bootstrap.servers"].split(","))
        requests = {self._at(address).describe_cluster(request_timeout=READ_SECONDS): address for address in addresses}
        try:
            answered = next((one for one in as_completed(requests, timeout=READ_SECONDS) if _has_answer(one)), None)
        except TimeoutError:
            answered = None
        self._chosen = self._at(requests[answered]) if answered else None
        return answered is not None

    def forget(self) -> None:
        self._addresses, self._by_address, self._chosen = set(), {}, None

    def _at(self, address: str) -> AdminClient:
        key = (address, certificate.version())
        if key not in self._by_address:
            config: dict[str, str | int | float | bool] = {
                **settings.KAFKA_CLIENT_CONFIG,
                "bootstrap.servers": address,
                "socket.timeout.ms": client.SILENCE_MS,
            }
            self._by_address[key] = AdminClient(config, logger=client.client_logger)
        return self._by_address[key]


class _RetentionCache:
    """The topics' retention in milliseconds, requested once per RETENTION_SECONDS."""

    def __init__(self) -> None:
        self._known: dict[str, int] = {}
        self._until = 0.0

    def request(self, admin: AdminClient, names: list[str]) -> "dict[str, Future[Any]]":
        """Send the requests that are due; none while all topics are cached."""
        if time.monotonic() < self._until and self._known.keys() >= set(names):
            return {}
        resources = [ConfigResource(ConfigResource.Type.TOPIC, name) for name in names]
        futures = admin.describe_configs(resources, request_timeout=ANSWER_SECONDS)
        return {resource.name: future for resource, future in futures.items()}

    def store(self, futures: "dict[str, Future[Any]]") -> dict[str, int]:
        """Cache the answers, never a missing one, and return what is cached."""
        found = {name: int(one["retention.ms"].value) for name, future in futures.items() if (one := _answer(future))}
        if futures:
            self._known, self._until = found, time.monotonic() + RETENTION_SECONDS
        return self._known

    def forget(self) -> None:
        self._known, self._until = {}, 0.0


_admin_clients: Final = _AdminClients()
_retention: Final = _RetentionCache()
_listed: Final = ListedGroups()


def _has_answer(future: "Future[Any]") -> bool:
    """Return True if a broker answered; a refusal is an answer, too."""
    return future.done() and (future.exception() is None or not _is_silence(future.exception()))


def _is_silence(error: BaseException | None) -> bool:
    silent = (KafkaError._TIMED_OUT, KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN, KafkaError._TIMED_OUT_QUEUE)
    return not isinstance(error, KafkaException) or error.args[0].code() in silent


def _has_no_rights(future: "Future[Any]") -> bool:
    error = future.exception() if future.done() else None
    return isinstance(error, KafkaException) and error.args[0].code() in NO_RIGHTS


def _is_missing(future: "Future[Any]") -> bool:
    error = future.exception() if future.done() else None
    return isinstance(error, KafkaException) and error.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART


def _answer(future: "Future[Any]") -> Any:
    """Return the result; None if no broker answered in time, or one refused."""
    return future.result() if future.done() and future.exception() is None else None
