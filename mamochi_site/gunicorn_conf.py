"""Configuration of gunicorn, the web server.

    gunicorn --config python:mamochi_site.gunicorn_conf mamochi_site.asgi:application

Where PROMETHEUS_MULTIPROC_DIR is set, the workers count together in files of that folder. There is
no access log: the middleware writes one line per request, with the route and without search terms.
"""

import os
from functools import partial
from pathlib import Path
from typing import Any

from gunicorn.glogging import Logger
from prometheus_client.multiprocess import mark_process_dead

from mamochi_site.settings import LOGGING


class WithoutAccessLog(Logger):
    """gunicorn's logger, which would make a line of access for each request and then drop it."""

    access_log_enabled = False


worker_class = "asgi"
logger_class = WithoutAccessLog
logconfig_dict = LOGGING


def on_starting(_server: Any) -> None:
    """Delete the metrics files of the previous run."""
    if folder := os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        for file in Path(folder).glob("*.db"):
            file.unlink()


def post_worker_init(worker: Any) -> None:
    """Let as many connections wait as gunicorn's `backlog` says (2,048).

    gunicorn (27.0) does not tell its event loop, which then lets 100 wait. While a full process
    takes no connection for a moment, Linux drops those of more clients, and they try again after
    1, 3 and 7 s: with twice the load that the web carries, some got no answer within 15 s (ADR 54).
    """
    worker.loop.create_server = partial(worker.loop.create_server, backlog=worker.cfg.backlog)


def child_exit(_server: Any, worker: Any) -> None:
    """Remove the gauges of a worker that has ended; its counters stay."""
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        mark_process_dead(worker.pid)
