"""The AsyncAPI document is accepted by the AsyncAPI initiative's parser, which runs on node."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from kafka_bridge.docs import asyncapi
from tests.support.needs import needs

FOLDER = Path(__file__).resolve().parents[2] / "asyncapi"
WARNING = 1  # 0 is an error; above are hints, such as a newer version of the standard
SECONDS = 240
pytestmark = [
    pytest.mark.chaos,
    pytest.mark.slow,
    needs("" if shutil.which("npm") else "npm is missing: apt install nodejs npm"),
]


@pytest.fixture(scope="module")
def parser(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install what tests/asyncapi/package-lock.json names; no package's own scripts run."""
    folder = tmp_path_factory.mktemp("asyncapi")
    for name in ("package.json", "package-lock.json", "parse.js"):
        shutil.copy(FOLDER / name, folder)
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    subprocess.run(command, cwd=folder, check=True, timeout=SECONDS)
    return folder / "parse.js"


def diagnostics(parser: Path, document: dict[str, Any]) -> list[str]:
    """Return the parser's errors and warnings."""
    told = subprocess.run(
        ["node", str(parser)],
        input=json.dumps(document),
        capture_output=True,
        text=True,
        check=True,
        timeout=SECONDS,
    )
    return [one["message"] for one in json.loads(told.stdout)["diagnostics"] if one["severity"] <= WARNING]


def test_parser_accepts_the_document(parser: Path) -> None:
    document = json.loads(json.dumps(asyncapi.document()))
    assert diagnostics(parser, document) == []
    del document["channels"]["mamochi.ventas"]["messages"]
    assert diagnostics(parser, document), "it does find mistakes"
