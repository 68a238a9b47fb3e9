"""Rules (ACLs) on the brokers, for a user per process."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    ResourcePatternType,
    ResourceType,
)

from kafka_bridge.brokers import client
from kafka_bridge.rights.table import Right

KINDS: Final = {"topic": ResourceType.TOPIC, "group": ResourceType.GROUP}
OPERATIONS: Final = {
    "Alter": AclOperation.ALTER,
    "Create": AclOperation.CREATE,
    "Describe": AclOperation.DESCRIBE,
    "DescribeConfigs": AclOperation.DESCRIBE_CONFIGS,
    "Read": AclOperation.READ,
    "Write": AclOperation.WRITE,
}

# Any name, or any host; the client's type hints want a text.
ANY: Final[Any] = None


def bindings(principal: str, rights: Iterable[Right]) -> list[AclBinding]:
    """Return the rules that give a user these rights, from any host."""
    return [
        AclBinding(
            KINDS[right.kind],
            right.name,
            ResourcePatternType.LITERAL,
            principal,
            "*",
            OPERATIONS[operation],
            AclPermissionType.ALLOW,
        )
        for right in rights
        for operation in right.operations
    ]


def on_brokers(principal: str) -> list[AclBinding]:
    """Return the rules of a user. Raises KafkaException."""
    everything = AclBindingFilter(
        ResourceType.ANY,
        ANY,
        ResourcePatternType.ANY,
        principal,
        ANY,
        AclOperation.ANY,
        AclPermissionType.ANY,
    )
    found: list[AclBinding] = client.admin().describe_acls(everything, request_timeout=client.TIMEOUT_SECONDS).result()
    return found


def add(wanted: Iterable[AclBinding]) -> None:
    """Add rules; one that exists stays. Raises KafkaException."""
    rules = list(wanted)
    if not rules:  # the client refuses an empty list
        return
    for future in client.admin().create_acls(rules, request_timeout=client.TIMEOUT_SECONDS).values():
        future.result()


def commands(rights: Mapping[str, Iterable[Right]], tool: str) -> list[str]:
    """Return the commands of Kafka's own tool that give users these rights, by their principal."""
    return [
        f"{tool} --add --allow-principal {principal} --{right.kind} {right.name}"
        + "".join(f" --operation {operation}" for operation in right.operations)
        for principal, theirs in rights.items()
        for right in theirs
    ]


def in_words(binding: AclBinding) -> str:
    """Return a rule in words."""
    deny = " not" if binding.permission_type == AclPermissionType.DENY else ""
    kind, operation = ResourceType(binding.restype).name.lower(), AclOperation(binding.operation).name.lower()
    return f"{binding.principal} may{deny} {operation} {kind} {binding.name}"
