"""What `manage.py check` says about events and topics, `check --deploy` about settings, `check --tag kafka` about the brokers.

The last asks the brokers, so it only runs when it is asked for (see management/commands/check.py).
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec
from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import ConfigResource
from django.conf import settings
from django.core.checks import CheckMessage, Error
from django.core.checks import Warning as Caution

from kafka_bridge import conf
from kafka_bridge.brokers import client, topic_admin
from kafka_bridge.events.event import Event, registered
from kafka_bridge.events.topics import DAY_MS, Topic

KAFKA_TAG: Final = "kafka"
TYPE_PATTERN: Final = re.compile(re.escape(conf.PREFIX) + r"\.[a-z][a-z0-9-]*\.[a-z][a-z0-9-]*\.v[1-9][0-9]*")
OWN_OPTIONS: Final = {"acks", "request.required.acks", "enable.idempotence", "enable.auto.commit", "auto.offset.reset"}
MAIL_NOBODY_GETS: Final = ("console", "dummy", "locmem", "filebased")
SHORTEST_RETENTION_MS: Final = 14 * DAY_MS  # a week, its closing and a backup of the week before


# Always


def check_events(**_options: Any) -> list[CheckMessage]:
    """Registered for `manage.py check`: needs neither database nor brokers."""
    return [*events_declared_well(registered.values()), *topics_agree(registered.values())]


def events_declared_well(events: Iterable[type[Event]]) -> Iterator[CheckMessage]:
    for event in events:
        for number, (message, hint) in enumerate(_rules(event), start=1):
            if message:
                yield Error(f"{event.__qualname__} {message}", hint=hint, obj=event, id=f"kafka_bridge.E00{number}")


def _rules(event: type[Event]) -> Iterator[tuple[str, str]]:
    """Each rule's verdict, empty where it holds, in the order of their numbers."""
    has_topic = isinstance(getattr(event, "topic", None), Topic)
    yield "" if has_topic else "has no topic.", "Give it `topic: ClassVar[Topic] = ...`, one of its app's."
    named = TYPE_PATTERN.fullmatch(event.type)
    yield (
        "" if named else f"has the type {event.type!r}, which is no name for one.",
        f"Name it {conf.PREFIX}.<area>.<what-happened>.v<N>, in lower case with hyphens.",
    )
    yield (
        "has no key." if event.key is Event.key else "",
        "Define the property `key`: the id of what orders its events.",
    )
    yield (
        "refuses unknown fields." if event.__struct_config__.forbid_unknown_fields else "",
        "Drop forbid_unknown_fields: a producer one release ahead may add a field.",
    )
    yield _without_schema(event), "Use field types that msgspec can describe as JSON Schema."


def _without_schema(event: type[Event]) -> str:
    try:
        msgspec.json.schema(event)
    except TypeError as error:
        return f"has no JSON Schema: {error}."
    return ""


def topics_agree(events: Iterable[type[Event]]) -> Iterator[CheckMessage]:
    """A topic has one declaration: which of two would `create_topics` make?"""
    first: dict[str, tuple[Topic, type[Event]]] = {}
    for event in events:
        topic = getattr(event, "topic", None)
        if isinstance(topic, Topic):
            other, owner = first.setdefault(topic.name, (topic, event))
            if other != topic:
                yield Error(
                    f"The topic {topic.name} of {event.__qualname__} is declared otherwise for {owner.__qualname__}.",
                    hint="Declare the Topic once, and let both events name it.",
                    obj=event,
                    id="kafka_bridge.E006",
                )


# With --deploy: settings that would lose messages


def check_deployment(**_options: Any) -> list[CheckMessage]:
    """Registered for `manage.py check --deploy`."""
    topics = {event.topic for event in registered.values() if hasattr(event, "topic")}
    return [
        *database_keeps(settings.DATABASES["default"]),
        *client_is_ours(settings.KAFKA_CLIENT_CONFIG),
        *mail_leaves(settings.EMAIL_BACKEND),
        *topics_reach_back(topics),
    ]


def database_keeps(database: Mapping[str, Any]) -> Iterator[CheckMessage]:
    """The outbox accepts events while Kafka is down: what it has committed must stay."""
    if "postgresql" not in database["ENGINE"]:
        yield Error(
            f"The database is {database['ENGINE']}, not PostgreSQL.",
            hint="Offsets, outbox and relay need its row locks, advisory locks and NOTIFY: set DATABASE_URL.",
            id="kafka_bridge.E101",
        )
    if not database.get("AUTOCOMMIT", True):
        yield Error(
            "AUTOCOMMIT is off: what goes to the outbox is answered 202 and never committed.",
            hint="Leave AUTOCOMMIT out of DATABASES.",
            id="kafka_bridge.E102",
        )
    if re.search(r"synchronous_commit\s*=\s*off", str(database.get("OPTIONS", {}).get("options", ""))):
        yield Error(
            "synchronous_commit is off: a crash of the database loses events that were answered 202.",
            hint="Take it out of the database's OPTIONS.",
            id="kafka_bridge.E103",
        )


def client_is_ours(config: Mapping[str, str]) -> Iterator[CheckMessage]:
    """The connection is the operator's, the guarantees are the engine's."""
    for option in sorted(OWN_OPTIONS & config.keys()):
        yield Error(
            f"KAFKA_CLIENT_CONFIG sets {option}, on which the promise of a 202 rests.",
            hint="Take it out: producer and runner set it themselves.",
            id="kafka_bridge.E104",
        )


def mail_leaves(backend: str) -> Iterator[CheckMessage]:
    """An e-mail that such a backend takes is marked as sent, and a token exists only once."""
    if any(name in backend for name in MAIL_NOBODY_GETS):
        yield Error(
            f"EMAIL_BACKEND is {backend}: credentials would be marked as sent, and nobody gets them.",
            hint="Set EMAIL_URL to an SMTP server.",
            id="kafka_bridge.E105",
        )


def topics_reach_back(topics: Iterable[Topic]) -> Iterator[CheckMessage]:
    for topic in sorted(topics, key=lambda topic: topic.name):
        if 0 <= topic.retention_ms < SHORTEST_RETENTION_MS:
            yield Caution(
                f"{topic.name} keeps its events {topic.retention_ms / DAY_MS:.1f} days.",
                hint="Keep them for longer than the oldest backup that you would restore: consumers replay the rest.",
                id="kafka_bridge.W106",
            )
        if topic.retention_ms < 0:
            yield Caution(
                f"{topic.name} keeps its events for ever.",
                hint="Events may hold personal data: let them end, some time after the oldest backup that you would restore.",
                id="kafka_bridge.W107",
            )


# With --tag kafka: the brokers


def check_brokers(**_options: Any) -> list[CheckMessage]:
    """What `check --tag kafka` finds out about the declared topics."""
    try:
        return list(topics_are_as_declared(topic_admin.declared_topics()))
    except KafkaException as error:
        hint = "Is KAFKA_BOOTSTRAP_SERVERS right, and are the brokers up?"
        return [Error(f"Kafka does not answer: {error.args[0].str()}.", hint=hint, id="kafka_bridge.E201")]


def topics_are_as_declared(topics: Iterable[Topic]) -> Iterator[CheckMessage]:
    """Raises KafkaException where no broker answers."""
    metadata = client.admin().list_topics(timeout=client.TIMEOUT_SECONDS)
    wanted = list(topics)
    there = [topic for topic in wanted if topic.name in metadata.topics]
    for topic in wanted:
        if topic not in there:
            hint = "Make it: manage.py create_topics"
            yield Error(f"The topic {topic.name} does not exist.", hint=hint, id="kafka_bridge.E202")
    configs, replicas = _configs(there), _replicas(there)
    for topic in there:
        yield from _partitions(topic, len(metadata.topics[topic.name].partitions))
        yield from _configuration(topic, configs[topic.name])
        yield from _durability(topic, configs[topic.name], replicas[topic.name], len(metadata.brokers))


def _configs(topics: list[Topic]) -> dict[str, dict[str, str]]:
    resources = [ConfigResource(ConfigResource.Type.TOPIC, topic.name) for topic in topics]
    futures = client.admin().describe_configs(resources, request_timeout=client.TIMEOUT_SECONDS) if resources else {}
    return {
        resource.name: {name: entry.value for name, entry in future.result().items()}
        for resource, future in futures.items()
    }


def _replicas(topics: list[Topic]) -> dict[str, int]:
    """The fewest replicas that any partition of the topic has."""
    if not topics:
        return {}
    names = TopicCollection([topic.name for topic in topics])
    futures = client.admin().describe_topics(names, request_timeout=client.TIMEOUT_SECONDS)
    return {name: min(len(at.replicas) for at in future.result().partitions) for name, future in futures.items()}


def _partitions(topic: Topic, found: int) -> Iterator[CheckMessage]:
    if found != topic.partitions:
        yield Error(
            f"{topic.name} has {found} partitions, declared are {topic.partitions}: keys would land in others than before.",
            hint="Declare what is there; to have more, drain the topic first (order within a key), then change both.",
            id="kafka_bridge.E203",
        )


def _configuration(topic: Topic, found: Mapping[str, str]) -> Iterator[CheckMessage]:
    for name, declared in topic.config.items():
        if found.get(name) != declared:
            yield Error(
                f"{topic.name}: {name} is {found.get(name)} on the brokers, declared is {declared}.",
                hint=f"kafka-configs.sh --alter --entity-type topics --entity-name {topic.name} "
                f"--add-config {name}={declared}",
                id="kafka_bridge.E204",
            )


def _durability(topic: Topic, found: Mapping[str, str], replicas: int, brokers: int) -> Iterator[CheckMessage]:
    """What acks=all is worth: on how many brokers an acknowledged event really is."""
    if replicas < min(3, brokers):
        yield Error(
            f"{topic.name} has {replicas} replicas on {brokers} brokers.",
            hint="Reassign its partitions to three replicas: with one, a lost broker takes its events along.",
            id="kafka_bridge.E205",
        )
    if replicas > 1 and int(found["min.insync.replicas"]) < replicas - 1:
        yield Error(
            f"{topic.name}: min.insync.replicas is {found['min.insync.replicas']} of {replicas} replicas: "
            "an acknowledged event may be on one broker only.",
            hint=f"Set it to {replicas - 1}.",
            id="kafka_bridge.E206",
        )
    if found.get("unclean.leader.election.enable") == "true":
        yield Error(
            f"{topic.name}: an unclean leader election may drop acknowledged events.",
            hint="Set unclean.leader.election.enable=false.",
            id="kafka_bridge.E207",
        )
    if brokers == 1:
        yield Caution(
            f"{topic.name} lives on a single broker.",
            hint="Good for one machine; in production run three.",
            id="kafka_bridge.W208",
        )
