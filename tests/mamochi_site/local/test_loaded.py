"""The application's processes are forks of one program: nothing of theirs may be shared."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.forks.orders import Forks, command
from mamochi_site.local.system import CHECKOUT

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
