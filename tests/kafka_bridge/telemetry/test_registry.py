import os
import subprocess
import sys
from pathlib import Path

import pytest

from kafka_bridge import conf
from tests.support.prometheus import samples

SETUP = "import django; django.setup(); "
COUNT = SETUP + "from kafka_bridge.telemetry import metrics; metrics.PUBLISHED.labels('kafka').inc(2)"
ASK = (
    SETUP
    + "from kafka_bridge.telemetry import registry; from prometheus_client import generate_latest; "
    + "print(generate_latest(registry.process_registry()).decode())"
)


@pytest.mark.slow
def test_processes_of_the_web_are_counted_together(tmp_path: Path) -> None:
    """As gunicorn's workers: two processes count, and a third one is asked."""
    environment = {
        **os.environ,
        # As in a container, whose /tmp is empty: the first process makes the folder.
        "PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "shared" / "web"),
        "DJANGO_SETTINGS_MODULE": "mamochi_site.settings",
    }
    for program in (COUNT, COUNT):
        subprocess.run([sys.executable, "-c", program], env=environment, check=True)
    page = subprocess.run([sys.executable, "-c", ASK], env=environment, check=True, capture_output=True, text=True)
    assert samples(page.stdout)[f"{conf.PREFIX}_published_total", (("way", "kafka"),)] == 4
