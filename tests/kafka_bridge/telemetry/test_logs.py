import json
import logging
import subprocess
import sys
from typing import Any

import pytest
import structlog
from django.conf import settings
from django.db import IntegrityError, connection

from deploy.embedded.waiting import wait_until
from kafka_bridge.telemetry import logs
from kafka_bridge.telemetry.logs import RateLimitFilter
from tests.support.log_lines import Lines, of_event
from tests.support.sandbox import SECONDS, Sandbox


@pytest.mark.parametrize(
    "text",
    [
        "rosa@example.cl",
        "Bearer abc.def",
        "redis://:clave@h:1/0",
        "duplicate key\nDETAIL:  Key (nombre)=(Rosa Ñáñez) already exists.",
    ],
)
def test_no_line_has_personal_data(lines: Lines, text: str) -> None:
    logging.getLogger("app").warning("what arrived: %s.", text)
    logs.logger("app").warning("another", detail=f"what arrived: {text}")
    written = json.dumps(lines, ensure_ascii=False)
    for secret in (text, "Rosa", "clave"):
        assert secret not in written
    assert "what arrived" in written
    assert logs.HIDDEN in written


def test_products_patterns_are_hidden_too() -> None:
    formatter = dict(logs.configure("text", personal_data=[r"\bmember-\d+"])["formatters"]["line"])
    record = logging.LogRecord("app", logging.INFO, "", 0, "of %s", ("member-17",), None)
    line = formatter.pop("()")(**formatter).format(record)
    assert "of [hidden]" in line
    assert "17" not in line.partition("of")[2]


def test_database_error_is_logged_without_row(lines: Lines, db: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute("CREATE TEMP TABLE secreta (nombre text CHECK (length(nombre) < 3)) ON COMMIT DROP")
        try:
            cursor.execute("INSERT INTO secreta VALUES (%s)", ["".join(["Ro", "sa"])])
        except IntegrityError:
            logging.getLogger("app").exception("it failed")
            logs.logger("app").error("again", exc_info=True)
    for line in lines:
        assert "IntegrityError 23514" in line["exception"]
        assert "test_logs.py" in line["exception"]
        assert "Rosa" not in json.dumps(line, ensure_ascii=False)
    assert len(lines) == 2


def test_line_of_a_batch_does_not_grow(sandbox: Sandbox, lines: Lines) -> None:
    sandbox.publish(*range(300))
    with sandbox.running(sandbox.runner()):
        wait_until(lambda: len(sandbox.rows()) == 300, SECONDS)
    assert all(len(json.dumps(line)) < 700 for line in of_event(lines, "batch"))


def test_terminal_gets_readable_lines() -> None:
    formatter = dict(logs.configure("text")["formatters"]["line"])
    record = logging.LogRecord("app", logging.INFO, "", 0, "all %s", ("good",), None)
    line = formatter.pop("()")(**formatter).format(record)
    assert "all good" in line
    assert not line.startswith("{")


def test_readable_line_is_structlogs_own() -> None:
    fields = {"ms": 1.5, "route": "api/$", "why": "two words", "of": ("a b", None), "id": "it's", "n": None}
    line = {"timestamp": "2026-11-27T03:50:05Z", "level": "info", "event": "all good", "logger": "app", **fields}
    structlogs: Any = structlog.dev.ConsoleRenderer(colors=False, pad_event_to=0)
    for whole in (line, line | {"exception": "ValueError: no\ncaused by\nKeyError"}):
        assert logs.text_line(None, "info", whole.copy()) == structlogs(None, "info", whole.copy())


def test_import_loads_no_kafka_client_and_no_models() -> None:
    """Settings modules import it."""
    program = (
        "import sys, kafka_bridge.telemetry.logs; "
        "print({'confluent_kafka', 'django.db.models', 'kafka_bridge.conf'} & sys.modules.keys())"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=settings.BASE_DIR, capture_output=True, text=True, check=False
    )
    assert (ended.stderr, ended.stdout) == ("", "set()\n")


def test_rate_limit_passes_one_of_a_kind() -> None:
    rate_limit = RateLimitFilter()
    kinds = ["FAIL", "FAIL", "ERROR", "FAIL"]
    records = [logging.LogRecord("kafka", logging.ERROR, "", 0, "%s: connect", (kind,), None) for kind in kinds]
    assert [rate_limit.filter(record) for record in records] == [True, False, True, False]
