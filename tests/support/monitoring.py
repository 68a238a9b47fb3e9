"""Rows and clients for the tests of the monitoring."""

from concurrent.futures import Future
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from django.utils import timezone

from kafka_bridge.models import DeadLetter
from kafka_bridge.monitoring.overview import Overview


def dead_letter(consumer: str) -> DeadLetter:
    """Create an open dead letter of the consumer."""
    return DeadLetter.objects.create(
        consumer=consumer,
        topic="t",
        partition=0,
        offset=1,
        topic_uuid="u",
        headers=[],
        message_at=timezone.now(),
        reason="handler",
        error="",
        attempts=1,
    )


def problems_of(seen: Overview) -> str:
    """Return all problems as one text."""
    return "\n".join(f"{problem.summary} {problem.advice}" for problem in seen.problems)


class SilentAdmin:
    """An admin client whose requests for offsets, members and retention get no answer.

    That is how a broker that hangs looks. All other requests go to the real client.
    """

    def __init__(self, admin: AdminClient) -> None:
        self.admin = admin

    def __getattr__(self, name: str) -> Any:
        return getattr(self.admin, name)

    def list_offsets(self, wanted: dict[Any, Any], **_: Any) -> "dict[Any, Future[Any]]":
        return {at: Future() for at in wanted}

    def list_groups(self, **_: Any) -> Any:
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT))

    def list_consumer_groups(self, **_: Any) -> "Future[Any]":
        return Future()

    def describe_configs(self, wanted: list[Any], **_: Any) -> "dict[Any, Future[Any]]":
        return {resource: Future() for resource in wanted}
