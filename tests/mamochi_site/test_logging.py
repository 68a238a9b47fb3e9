"""Log lines hide the guild's personal data; reading the settings does not load the Kafka client."""

import json
import logging
import subprocess
import sys

import pytest
from django.conf import settings

from kafka_bridge.telemetry import logs
from tests.support.log_lines import Lines


@pytest.mark.parametrize("text", ["12.345.678-5", "12345678-K", "mmc_0123456789abcdef"])
def test_rut_and_token_are_hidden(lines: Lines, text: str) -> None:
    logging.getLogger("app").warning("what arrived: %s.", text)
    logs.logger("app").warning("another", detail=f"what arrived: {text}")
    written = json.dumps(lines, ensure_ascii=False)
    assert text not in written
    assert "12345678" not in written
    assert "what arrived" in written


def test_ids_and_times_are_no_rut(lines: Lines) -> None:
    text = "12345678-9abc-4def-8123-456789abcdef 2026-11-23T15:04:05 mamochi.ventas[3] @ 12345678"
    logging.getLogger("app").warning(text)
    assert lines[-1]["event"] == text


def test_settings_do_not_load_the_kafka_client() -> None:
    program = "import sys, mamochi_site.settings; print({'confluent_kafka', 'kafka_bridge.conf'} & sys.modules.keys())"
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=settings.BASE_DIR, capture_output=True, text=True, check=False
    )
    assert (ended.stderr, ended.stdout) == ("", "set()\n")
