import json
from typing import Any

import pytest
from django.core.management import call_command

from tests.support.sandbox import Sandbox


def test_command_shows_the_overview(known: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    known.publish(1, 2)
    with pytest.raises(SystemExit) as ended:
        call_command("overview", seconds=0)
    text = capsys.readouterr().out
    assert ended.value.code == 1  # a problem is grave
    assert "Nadie atiende" in text
    assert known.topic.name[:12] in text


def test_command_prints_json_for_scripts(known: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        call_command("overview", json=True)
    seen: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert {group["group"] for group in seen["groups"]} >= {known.consumer.name, "aprobacion", "aprobacion.paid"}
