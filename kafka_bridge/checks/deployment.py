"""Checks of settings that would lose messages in production."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from django.conf import settings
from django.core.checks import CheckMessage, Error
from django.core.checks import Warning as Caution

from kafka_bridge import conf
from kafka_bridge.events.event import registered
from kafka_bridge.events.topics import DAY_MS, Topic

OWN_OPTIONS: Final = {"acks", "request.required.acks", "enable.idempotence", "enable.auto.commit", "auto.offset.reset"}


def check_deployment(**_options: Any) -> list[CheckMessage]:
    """Check the project's settings and topics; `manage.py check --deploy` runs this."""
    topics = {event.topic for event in registered.values() if hasattr(event, "topic")}
    return [
        *database_keeps(settings.DATABASES["default"]),
        *client_is_ours(settings.KAFKA_CLIENT_CONFIG),
        *topics_reach_back(topics),
    ]


def database_keeps(database: Mapping[str, Any]) -> Iterator[CheckMessage]:
    """Check that commits are durable: the outbox accepts events while Kafka is down."""
    if "postgresql" not in database["ENGINE"]:
        yield Error(
            f"The database is {database['ENGINE']}, not PostgreSQL.",
            hint="Offsets, outbox and relay need its row locks, advisory locks and NOTIFY: set DATABASE_URL.",
            id="kafka_bridge.E101",
        )
    if not database.get("AUTOCOMMIT", True):
        yield Error(
            "AUTOCOMMIT is off: events in the outbox would be answered 202 and never committed.",
            hint="Remove AUTOCOMMIT from DATABASES.",
            id="kafka_bridge.E102",
        )
    if re.search(r"synchronous_commit\s*=\s*off", str(database.get("OPTIONS", {}).get("options", ""))):
        yield Error(
            "synchronous_commit is off: a crash of the database would lose events that were answered 202.",
            hint="Remove it from the database's OPTIONS.",
            id="kafka_bridge.E103",
        )


def client_is_ours(config: Mapping[str, str]) -> Iterator[CheckMessage]:
    """Check that the client's configuration leaves the guarantees to the engine."""
    for option in sorted(OWN_OPTIONS & config.keys()):
        yield Error(
            f"KAFKA_CLIENT_CONFIG sets {option}, on which the promise of a 202 rests.",
            hint="Remove it: the producer and the consumers set it themselves.",
            id="kafka_bridge.E104",
        )


def topics_reach_back(topics: Iterable[Topic]) -> Iterator[CheckMessage]:
    """Warn of topics that keep events for less than SHORTEST_RETENTION_DAYS, or without end."""
    for topic in sorted(topics, key=lambda topic: topic.name):
        if 0 <= topic.retention_ms < conf.SHORTEST_RETENTION_DAYS * DAY_MS:
            yield Caution(
                f"{topic.name} keeps its events for {topic.retention_ms / DAY_MS:.1f} days.",
                hint="Keep them longer than the oldest backup that you would restore: "
                "consumers read the events since that backup again.",
                id="kafka_bridge.W106",
            )
        if topic.retention_ms < 0:
            yield Caution(
                f"{topic.name} keeps its events without end.",
                hint="Events may hold personal data: set a retention, longer than the oldest backup that you would "
                "restore.",
                id="kafka_bridge.W107",
            )
