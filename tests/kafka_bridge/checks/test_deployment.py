"""Settings that would lose messages in production, which `manage.py check --deploy` reports."""

from dataclasses import replace
from typing import Any, Final

import pytest
from django.core.management import call_command
from django.core.management.base import SystemCheckError

from kafka_bridge.checks import deployment as checks
from kafka_bridge.events import DAY_MS
from tests.support.declare import TOPIC

POSTGRES: Final = {"ENGINE": "django.db.backends.postgresql", "OPTIONS": {"connect_timeout": 3}}


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (checks.database_keeps(POSTGRES), []),
        (checks.database_keeps({"ENGINE": "django.db.backends.sqlite3"}), ["kafka_bridge.E101"]),
        (checks.database_keeps({**POSTGRES, "AUTOCOMMIT": False}), ["kafka_bridge.E102"]),
        (
            checks.database_keeps({**POSTGRES, "OPTIONS": {"options": "-c synchronous_commit=off"}}),
            ["kafka_bridge.E103"],
        ),
        (checks.database_keeps({**POSTGRES, "OPTIONS": {"options": "-c synchronous_commit=on"}}), []),
        (checks.client_is_ours({"bootstrap.servers": "a:9092", "security.protocol": "SASL_SSL"}), []),
        (checks.client_is_ours({"acks": "1", "enable.idempotence": "false"}), ["kafka_bridge.E104"] * 2),
        (checks.topics_reach_back([TOPIC, replace(TOPIC, retention_ms=-1)]), ["kafka_bridge.W107"]),
        (checks.topics_reach_back([replace(TOPIC, retention_ms=DAY_MS)]), ["kafka_bridge.W106"]),
    ],
)
def test_settings_that_lose_messages_are_named(found: Any, expected: list[str]) -> None:
    assert [message.id for message in found] == expected


def test_runs_with_deploy_only(settings: Any) -> None:
    settings.KAFKA_CLIENT_CONFIG = {**settings.KAFKA_CLIENT_CONFIG, "acks": "0"}
    call_command("check", tags=["events"])
    with pytest.raises(SystemCheckError, match=r"kafka_bridge\.E104"):
        call_command("check", tags=["events"], deploy=True)
