"""The application's processes are forks of one program: nothing of theirs may be shared."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.forks.orders import Forks, command
from mamochi_site.local.system import CHECKOUT, OWN_VARIABLES

COUNTS = """
import os, threading
from prometheus_client import generate_latest
from kafka_bridge.telemetry import metrics
from kafka_bridge.telemetry.registry import process_registry
metrics.PUBLISHED.labels("kafka").inc()
metrics.PUBLISH_SECONDS.observe(0.2)
print(generate_latest(process_registry()).decode(), threading.active_count(), "thread", flush=True)
"""
COUNTED = re.compile(r'^mamochi_published_total\{way="kafka"\} (\S+)$', re.MULTILINE)


@pytest.mark.slow
def test_metrics_of_forks_go_where_each_process_counts(tmp_path: Path) -> None:
    """Two forks share a folder and add up; two others count alone."""
    script, shared = tmp_path / "counts.py", tmp_path / "shared"
    shared.mkdir()
    script.write_text(COUNTS)
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "mamochi_site.settings"}
    environment.pop("PROMETHEUS_MULTIPROC_DIR", None)
    forks = Forks(environment)
    program = subprocess.Popen(
        command("mamochi_site.local.loaded"), stdin=forks.program_end.fileno(), cwd=CHECKOUT, env=environment
    )
    forks.program_end.close()
    pages = []
    for number, extra in enumerate([{}, {}, *[{"PROMETHEUS_MULTIPROC_DIR": str(shared)}] * 2]):
        log = tmp_path / f"log-{number}"
        argv = [sys.executable, str(script)]
        fork = forks.order("counts", argv, cwd=CHECKOUT, env=environment | extra, log=log)
        assert fork.wait(60) == 0, log.read_text()
        pages.append(log.read_text())
    program.terminate()
    assert program.wait(60) == 0
    assert [COUNTED.findall(page) for page in pages] == [["1.0"], ["1.0"], ["1.0"], ["2.0"]]
    assert "mamochi_publish_seconds_count 2.0" in pages[-1]
    assert all(page.endswith("1 thread\n") for page in pages)


@pytest.mark.slow
def test_packages_of_the_benchmarks_are_not_loaded() -> None:
    """A fork that wants one can load it."""
    program = (
        "import sys; from mamochi_site.local.loaded import NOT_LOADED; "
        "print(sys.modules.keys() & set(NOT_LOADED)); import numpy; print(numpy.ones(2).sum())"
    )
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "mamochi_site.settings"}
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False
    )
    assert ended.stdout == "set()\n2.0\n", ended.stderr


LOGIN = """
from django.conf import settings
from kafka_bridge.brokers import access
print(settings.KAFKA_CLIENT_CONFIG["sasl.password"], access.user())
"""


@pytest.mark.slow
def test_each_fork_has_its_own_login_in_kafka(tmp_path: Path) -> None:
    """The loaded program has read another one's."""
    script = tmp_path / "login.py"
    script.write_text(LOGIN)
    login = {"KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT", "KAFKA_SASL_MECHANISM": "SCRAM-SHA-512"}
    loaded = {**os.environ, **login, **of_user("prepare"), "DJANGO_SETTINGS_MODULE": "mamochi_site.settings"}
    forks = Forks(loaded, OWN_VARIABLES)
    program = subprocess.Popen(
        command("mamochi_site.local.loaded"), stdin=forks.program_end.fileno(), cwd=CHECKOUT, env=loaded
    )
    forks.program_end.close()
    for name in ("web", "relay"):
        environment = loaded | of_user(name)
        assert forks.may_run(environment)
        log = tmp_path / name
        fork = forks.order(name, [sys.executable, str(script)], cwd=CHECKOUT, env=environment, log=log)
        assert fork.wait(60) == 0, log.read_text()
        assert log.read_text() == f"secret of {name} User:{name}\n"
    program.terminate()
    assert program.wait(60) == 0


def of_user(name: str) -> dict[str, str]:
    return {"KAFKA_SASL_USERNAME": name, "KAFKA_SASL_PASSWORD": f"secret of {name}"}


CHECKS = """
from django.core import checks
from mamochi_site.celery import app
made = []
checks.register(lambda **_: made.append("made") or [])
app.loader.import_default_modules()  # as the worker and Beat do at their start
print(made)
"""


@pytest.mark.slow
def test_forks_leave_djangos_checks_to_the_loaded_program(tmp_path: Path) -> None:
    script = tmp_path / "checks.py"
    script.write_text(CHECKS)
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "mamochi_site.settings"}
    forks = Forks(environment)
    program = subprocess.Popen(
        command("mamochi_site.local.loaded"), stdin=forks.program_end.fileno(), cwd=CHECKOUT, env=environment
    )
    forks.program_end.close()
    fork = forks.order("checks", [sys.executable, str(script)], cwd=CHECKOUT, env=environment, log=tmp_path / "log")
    assert fork.wait(60) == 0, (tmp_path / "log").read_text()
    program.terminate()
    assert program.wait(60) == 0
    assert (tmp_path / "log").read_text() == "[]\n"
