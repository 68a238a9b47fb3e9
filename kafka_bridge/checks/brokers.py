"""Checks of the declared topics on the brokers, for `manage.py check_brokers`."""

from collections.abc import Iterable, Iterator, Mapping

from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import ConfigResource
from django.core.checks import CheckMessage, Error
from django.core.checks import Warning as Caution

from kafka_bridge.brokers import access, client, topic_admin, trouble
from kafka_bridge.events.topics import Topic


def check_brokers() -> list[CheckMessage]:
    """Check all declared topics; if no broker answers, that is the only error."""
    try:
        return list(topics_are_as_declared(topic_admin.declared_topics()))
    except KafkaException as error:
        return [Error(trouble.refusal(error.args[0], "DescribeConfigs", "the topics") + ".", id="kafka_bridge.E201")]


def topics_are_as_declared(topics: Iterable[Topic]) -> Iterator[CheckMessage]:
    """Compare topics with their declarations. Raises KafkaException if no broker answers."""
    metadata = client.admin().list_topics(timeout=client.TIMEOUT_SECONDS)
    wanted = list(topics)
    existing = [topic for topic in wanted if topic.name in metadata.topics]
    for topic in wanted:
        if topic not in existing:
            hint = (
                f"Create it: manage.py create_topics. If it is there, {access.user()} may not see it: {access.GRANT}."
            )
            yield Error(f"The topic {topic.name} does not exist.", hint=hint, id="kafka_bridge.E202")
    configs, replicas = _configs(existing), _replicas(existing)
    for topic in existing:
        yield from _partitions(topic, len(metadata.topics[topic.name].partitions))
        yield from _configuration(topic, configs[topic.name])
        yield from durability(topic, configs[topic.name], replicas[topic.name], len(metadata.brokers))


def _configs(topics: list[Topic]) -> dict[str, dict[str, str]]:
    resources = [ConfigResource(ConfigResource.Type.TOPIC, topic.name) for topic in topics]
    futures = client.admin().describe_configs(resources, request_timeout=client.TIMEOUT_SECONDS) if resources else {}
    return {
        resource.name: {name: entry.value for name, entry in future.result().items()}
        for resource, future in futures.items()
    }


def _replicas(topics: list[Topic]) -> dict[str, int]:
    """Return the fewest replicas that any partition of a topic has, by topic."""
    if not topics:
        return {}
    names = TopicCollection([topic.name for topic in topics])
    futures = client.admin().describe_topics(names, request_timeout=client.TIMEOUT_SECONDS)
    return {name: min(len(at.replicas) for at in future.result().partitions) for name, future in futures.items()}


def _partitions(topic: Topic, found: int) -> Iterator[CheckMessage]:
    if found < topic.partitions:
        yield Error(
            f"{topic.name} has {found} partitions, {topic.partitions} are declared: events for the missing ones wait "
            "in the outbox.",
            hint="Add them while everything runs: manage.py add_partitions",
            id="kafka_bridge.E203",
        )
    if found > topic.partitions:
        yield Error(
            f"{topic.name} has {found} partitions, {topic.partitions} are declared: the others get no events.",
            hint=f'Set KAFKA_BRIDGE["PARTITIONS"] of {topic.name} to {found} and restart the processes. Kafka cannot '
            "take partitions away.",
            id="kafka_bridge.E209",
        )


def _configuration(topic: Topic, found: Mapping[str, str]) -> Iterator[CheckMessage]:
    for name, declared in topic.config.items():
        if found.get(name) != declared:
            yield Error(
                f"{topic.name}: {name} is {found.get(name)} on the brokers, {declared} is declared.",
                hint=f"kafka-configs.sh --alter --entity-type topics --entity-name {topic.name} "
                f"--add-config {name}={declared}",
                id="kafka_bridge.E204",
            )


def durability(topic: Topic, found: Mapping[str, str], replicas: int, brokers: int) -> Iterator[CheckMessage]:
    """Check on how many brokers an acknowledged event is stored."""
    if replicas < min(3, brokers):
        yield Error(
            f"{topic.name} has {replicas} replicas on {brokers} brokers.",
            hint="Reassign its partitions to three replicas: with one, losing a broker loses its events.",
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
            f"{topic.name}: an unclean leader election may lose acknowledged events.",
            hint="Set unclean.leader.election.enable=false.",
            id="kafka_bridge.E207",
        )
    if brokers == 1:
        yield Caution(
            f"{topic.name} is on a single broker.",
            hint="Good for one machine; in production run three.",
            id="kafka_bridge.W208",
        )
