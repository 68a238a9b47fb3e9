"""How gunicorn serves the site: `gunicorn --config python:mamochi_site.gunicorn_conf mamochi_site.wsgi`.

Its workers count together in the files of PROMETHEUS_MULTIPROC_DIR, where that is set. There is no access log: the
middleware writes a line a request, with the route and without what people searched for.
"""

import os
from pathlib import Path
from typing import Any

from prometheus_client.multiprocess import mark_process_dead

from mamochi_site.settings import LOGGING

logconfig_dict = LOGGING


def on_starting(_server: Any) -> None:
    """The last run's figures are not ours."""
    if folder := os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        for file in Path(folder).glob("*.db"):
            file.unlink()


def child_exit(_server: Any, worker: Any) -> None:
    """Gauges of a worker that is gone go with it; its counters stay."""
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        mark_process_dead(worker.pid)
