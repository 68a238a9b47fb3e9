"""The engine's settings: `KAFKA_BRIDGE` in Django's settings says what belongs to the product.

    KAFKA_BRIDGE = {
        "SOURCE": "bookshop",                          # required
        "NAMESPACE": "https://bookshop.example/events",  # required
        "CONTRACTS": BASE_DIR / "contracts",           # required by `check_event_schemas`
        "TITLE": "The bookshop",                       # in the documentation of events
        "DESCRIPTION": "Orders and deliveries.",       # in the documentation of events
    }

Read once, when Django loads the engine. `telemetry.logs` is not configured here, because settings modules call it.
"""

from pathlib import Path
from typing import Any, Final
from uuid import NAMESPACE_URL, UUID, uuid5

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

_DEFAULTS: Final[dict[str, Any]] = {
    "SOURCE": "",
    "NAMESPACE": "",
    "PREFIX": "",
    "CONTRACTS": "",
    "TITLE": "",
    "DESCRIPTION": "",
}


def _read() -> dict[str, Any]:
    """The settings with defaults filled in. Raises ImproperlyConfigured for a missing or an unknown name."""
    given: dict[str, Any] = getattr(settings, "KAFKA_BRIDGE", {})
    if unknown := sorted(given.keys() - _DEFAULTS.keys()):
        raise ImproperlyConfigured(
            f"KAFKA_BRIDGE has unknown names: {', '.join(unknown)}. Known: {', '.join(_DEFAULTS)}."
        )
    if missing := [name for name in ("SOURCE", "NAMESPACE") if not given.get(name)]:
        raise ImproperlyConfigured(f"Set {' and '.join(missing)} in KAFKA_BRIDGE (kafka_bridge/README.md).")
    return {**_DEFAULTS, **given}


_values: Final = _read()

# Who publishes: `ce_source` of every event.
SOURCE: Final[str] = _values["SOURCE"]

# The URL from which ids of events are derived. Changing it changes every derived id: retries would count twice.
NAMESPACE: Final[UUID] = uuid5(NAMESPACE_URL, _values["NAMESPACE"])

# Begins the names of event types, Kafka clients, groups that only ask, the replay header and metrics.
PREFIX: Final[str] = _values["PREFIX"] or SOURCE

# The folder of frozen event schemas.
CONTRACTS: Final[Path] = Path(_values["CONTRACTS"])

# The product's name (SOURCE by default) and a sentence about its events, in their documentation.
TITLE: Final[str] = _values["TITLE"] or SOURCE
DESCRIPTION: Final[str] = _values["DESCRIPTION"]
