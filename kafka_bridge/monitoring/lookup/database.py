"""The part of a lookup that reads the engine's own tables."""

from collections.abc import Iterable
from typing import Final, TypeVar
from uuid import UUID

from django.db.models import BinaryField, Func, IntegerField, Q, QuerySet, Subquery, Value
from django.db.models.functions import Coalesce
from django.db.models.lookups import GreaterThan
from django.utils.translation import gettext

from kafka_bridge.models import ConsumerOffset, DeadLetter, OutboxMessage
from kafka_bridge.monitoring.lookup.registry import Limitation

SHOWN: Final = 50  # of a kind
MAX_ROWS: Final = 20_000  # of the outbox, and of the dead letters; payloads have no index

Positions = dict[tuple[str, str, int], ConsumerOffset]  # by consumer, topic and partition
WithPayload = TypeVar("WithPayload", OutboxMessage, DeadLetter)


def positions() -> Positions:
    """Return how far each consumer is in each partition."""
    return {(row.consumer, row.topic, row.partition): row for row in ConsumerOffset.objects.all()}


def dead_letters_about(ids: Iterable[UUID]) -> list[DeadLetter]:
    """Return dead letters with one of the ids as their event's id or in their payload."""
    texts = list(map(str, ids))
    condition = _payload_contains(texts)
    for text in texts:
        condition |= Q(headers__contains=[["ce_id", text]])
    return list(_newest(DeadLetter).filter(condition).order_by("pk")[:SHOWN])


def outbox_messages_about(ids: Iterable[UUID]) -> list[OutboxMessage]:
    """Return messages of the outbox with one of the ids in their payload."""
    return list(_newest(OutboxMessage).filter(_payload_contains(map(str, ids))).order_by("pk")[:SHOWN])


def limitations() -> list[Limitation]:
    """Report if there are more than MAX_ROWS rows: only the newest ones were searched."""
    if not any(model.objects.order_by("-pk")[MAX_ROWS:].exists() for model in (OutboxMessage, DeadLetter)):
        return []
    where = gettext("only the %(count)d newest of the outbox and of the dead letters were searched")
    advice = gettext("Search in “messages to publish” and in “dead letters”, or wait until the outbox is empty.")
    return [Limitation(where % {"count": MAX_ROWS}, advice)]


def _payload_contains(texts: Iterable[str]) -> Q:
    condition = Q()
    for text in texts:
        position = Func(
            Value(text.encode(), BinaryField()),
            "value",
            function="position",
            arg_joiner=" IN ",
            output_field=IntegerField(),
        )
        condition |= Q(GreaterThan(position, 0))
    return condition


def _newest(model: type[WithPayload]) -> "QuerySet[WithPayload]":
    """Select the newest MAX_ROWS rows."""
    oldest = model.objects.order_by("-pk").values("pk")[MAX_ROWS - 1 : MAX_ROWS]
    return model.objects.filter(pk__gte=Coalesce(Subquery(oldest), 0))
