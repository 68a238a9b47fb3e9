"""The engine's settings: what the engine cannot know by itself, from Django's settings.

    INSTALLED_APPS = [..., "kafka_bridge", "orders"]
    KAFKA_BRIDGE = {
        "SOURCE": "bookshop",                            # required
        "NAMESPACE": "https://bookshop.example/events",  # required
        "CONTRACTS": BASE_DIR / "contracts",             # for `manage.py check_event_schemas`
        "PARTITIONS": {"bookshop.orders": 12},           # instead of the declared numbers
        "PREPARED_STATEMENTS": True,                     # no pool gives transactions other sessions
        "TITLE": "The bookshop",                         # in the documentation of events
        "DESCRIPTION": "Orders and deliveries.",         # in the documentation of events
    }
    KAFKA_CLIENT_CONFIG = {"bootstrap.servers": "kafka-1:9092,kafka-2:9092"}  # required

`KAFKA_CLIENT_CONFIG` is librdkafka's configuration of the connection (addresses, TLS, SASL). The
engine adds to it what its guarantees need (acks, idempotence, offsets). A whole project in a few
dozen lines is in tests/bookshop.

Other needs: PostgreSQL as the default database. Only where they are used: Django's admin with its
log of changes and django-unfold, to correct, replay and discard dead letters and for the pages in
the admin; Django REST framework for `publishing.rest`.

The values are read once, when Django loads the engine. `telemetry.logs` takes its own arguments,
because settings modules call it before settings exist.
"""

from pathlib import Path
from typing import Any, Final
from uuid import NAMESPACE_URL, UUID, uuid5

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

_REQUIRED: Final = ("SOURCE", "NAMESPACE")
_DEFAULTS: Final[dict[str, Any]] = {
    "SOURCE": "",
    "NAMESPACE": "",
    "PREFIX": "",
    "CONTRACTS": None,
    "SHORTEST_RETENTION_DAYS": 7,
    "PARTITIONS": {},
    "PREPARED_STATEMENTS": False,
    "TITLE": "",
    "DESCRIPTION": "",
}


def _read() -> dict[str, Any]:
    """Return the settings with defaults filled in.

    Raises ImproperlyConfigured for a missing or an unknown name, and without Kafka's addresses.
    """
    given: dict[str, Any] = getattr(settings, "KAFKA_BRIDGE", {})
    if unknown := sorted(given.keys() - _DEFAULTS.keys()):
        raise ImproperlyConfigured(
            f"KAFKA_BRIDGE has unknown names: {', '.join(unknown)}. Known: {', '.join(_DEFAULTS)}."
        )
    if missing := [name for name in _REQUIRED if not given.get(name)]:
        raise ImproperlyConfigured(f"Set {' and '.join(missing)} in KAFKA_BRIDGE (see kafka_bridge/conf.py).")
    if not getattr(settings, "KAFKA_CLIENT_CONFIG", {}).get("bootstrap.servers"):
        raise ImproperlyConfigured('Set KAFKA_CLIENT_CONFIG = {"bootstrap.servers": "host:port,..."}.')
    _check_partitions(given.get("PARTITIONS", {}))
    return {**_DEFAULTS, **given}


def _check_partitions(given: dict[str, Any]) -> None:
    """Raise ImproperlyConfigured for an invalid number of partitions."""
    for topic, number in given.items():
        if type(number) is not int or number < 1:
            raise ImproperlyConfigured(
                f'KAFKA_BRIDGE["PARTITIONS"]: {topic} needs a whole number from 1 on: {number!r}.'
            )


_values: Final = _read()

# The publisher: `ce_source` of every event.
SOURCE: Final[str] = _values["SOURCE"]

# The URL from which ids of events are derived. Changing it changes every derived id, so that
# retries would count twice.
NAMESPACE: Final[UUID] = uuid5(NAMESPACE_URL, _values["NAMESPACE"])

# The first part of the names of event types, Kafka clients, the engine's own groups, the replay
# header and metrics; SOURCE unless set.
PREFIX: Final[str] = _values["PREFIX"] or SOURCE

# The folder of frozen event schemas; None: `check_event_schemas` needs --folder.
CONTRACTS: Final[Path | None] = Path(_values["CONTRACTS"]) if _values["CONTRACTS"] else None

# `check --deploy` warns of topics that keep events for fewer days. Set it to more than the age of
# the oldest backup that would be restored.
SHORTEST_RETENTION_DAYS: Final[float] = _values["SHORTEST_RETENTION_DAYS"]

# How many partitions a topic has in this deployment, by its name; without an entry, as many as its
# app declares. Raised with `manage.py add_partitions`; Kafka cannot take partitions away.
PARTITIONS: Final[dict[str, int]] = dict(_values["PARTITIONS"])

# Whether PostgreSQL keeps prepared what each message pays (kafka_bridge/prepared.py). Not behind a
# pool that gives each transaction another session.
PREPARED_STATEMENTS: Final[bool] = bool(_values["PREPARED_STATEMENTS"])

# The product's name (SOURCE by default) and a sentence about its events, in their documentation.
TITLE: Final[str] = _values["TITLE"] or SOURCE
DESCRIPTION: Final[str] = _values["DESCRIPTION"]
