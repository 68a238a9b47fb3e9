"""`./dev up`: the whole system, used from outside and stopped by Ctrl-C."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit
from urllib.request import HTTPCookieProcessor, build_opener

import psutil
import pytest

from deploy.embedded.ports import free_port, is_free
from deploy.embedded.processes import leftovers
from mamochi_site.local.system import CHECKOUT

REPLACEABLE = {"KAFKA_BOOTSTRAP_SERVERS", "DATABASE_URL", "CELERY_BROKER_URL", "EMAIL_URL"}


@pytest.fixture
def up(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Start the command, without waiting until it is ready."""
    environment = {name: value for name, value in os.environ.items() if name not in REPLACEABLE}
    process = subprocess.Popen(
        [sys.executable, "-m", "mamochi_site.local.up", "--dir", str(tmp_path), "--port", str(free_port())],
        cwd=CHECKOUT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    yield process
    process.terminate()
    process.wait(60)


def log_in(web: dict[str, str], admin: dict[str, str]) -> str:
    """Log in with the admin's form, and return the URL of the page that follows."""
    cookies = CookieJar()
    opener = build_opener(HTTPCookieProcessor(cookies))
    opener.open(web["admin"] + "login/").read()
    token = next(cookie.value for cookie in cookies if cookie.name == "csrftoken")
    form = {"username": admin["user"], "password": admin["password"], "csrfmiddlewaretoken": token, "next": "/admin/"}
    return str(opener.open(web["admin"] + "login/", urlencode(form).encode()).url)


@pytest.mark.chaos
@pytest.mark.slow
def test_serves_until_ctrl_c_and_leaves_nothing(up: subprocess.Popen[str], tmp_path: Path) -> None:
    assert up.stdout is not None
    output = []
    for line in up.stdout:
        output.append(line)
        if "Ctrl-C stops everything" in line:
            break
    else:
        pytest.fail("".join(output))
    record: dict[str, Any] = json.loads((tmp_path / "stack.json").read_text())
    assert log_in(record["web"], record["admin"]) == record["web"]["admin"]
    started = {name for name in record["processes"] if psutil.pid_exists(record["processes"][name]["pid"])}
    assert {"web", "consumer-aprobacion", "outbox-relay", "celery-worker", "celery-beat", "kafka-1"} <= started
    up.send_signal(signal.SIGINT)
    assert up.wait(60) == 0
    assert leftovers(record["run_id"], record["processes"]) == []
    assert all(is_free(port) for port in [urlsplit(record["web"]["url"]).port, *record["ports"].values()])
    assert not (tmp_path / "stack.json").exists()
