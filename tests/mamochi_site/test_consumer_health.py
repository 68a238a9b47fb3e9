"""The health of a real consumer: while it waits for the database, and when its handler hangs."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connection

from deploy.embedded.ports import free_port
from deploy.embedded.waiting import wait_until
from kafka_bridge.publishing.producer import publish
from tests.support.prometheus import get, health
from tests.support.sales import sale, void_of

SECONDS = 60.0
HANGS = """
import sys, threading
import django
django.setup()
from django.core.management import call_command
from kafka_bridge.consuming.handlers import consumers
from kafka_bridge.telemetry import probe
probe.HUNG_SECONDS = 2.0
consumer = consumers["contabilidad"]
for event in consumer.handlers:
    consumer.handlers[event] = lambda events: threading.Event().wait()
call_command("run_consumer", "contabilidad", metrics_port=probe.address(sys.argv[1]))
"""


@pytest.mark.slow
def test_waits_for_the_database_and_ends(kafka: str, db: None, tmp_path: Path) -> None:
    port = free_port()
    environment = {**os.environ, "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"}
    argv = [sys.executable, "manage.py", "run_consumer", "contabilidad", "--metrics-port", f"127.0.0.1:{port}"]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(argv, cwd=settings.BASE_DIR, env=environment, stdout=log, stderr=log)
    try:
        wait_until(lambda: health(port, "live") == 200, SECONDS)
        wait_until(lambda: "contabilidad" in get(f"http://127.0.0.1:{port}/health/ready")[1], SECONDS)
        assert health(port, "ready") == 503  # it must not be restarted
        assert health(port, "live") == 200
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(SECONDS) == 0, (tmp_path / "log").read_text()


@pytest.mark.slow
def test_hung_handler_is_not_live(transactional_db: None, kafka: str, tmp_path: Path) -> None:
    """After 2 s here. From outside nothing shows it: the process and its heartbeats continue."""
    call_command("create_topics", verbosity=0)
    name, port = connection.settings_dict["NAME"], free_port()
    url = re.sub(r"/[^/]*$", f"/{name}", os.environ["DATABASE_URL"])
    environment = {**os.environ, "DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "mamochi_site.settings"}
    argv = [sys.executable, "-c", HANGS, f"127.0.0.1:{port}"]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(argv, cwd=settings.BASE_DIR, env=environment, stdout=log, stderr=log)
    try:
        wait_until(lambda: health(port, "ready") == 200, SECONDS)
        publish(void_of(sale(uuid4())))
        wait_until(lambda: health(port, "live") == 503, SECONDS)
        assert health(port, "ready") == 503
        assert "contabilidad" in get(f"http://127.0.0.1:{port}/health/live")[1]
        assert process.poll() is None
    finally:
        process.kill()
        process.wait(SECONDS)
