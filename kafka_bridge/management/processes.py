"""What the long-running commands share: they end on signals, and serve metrics and health."""

import os
import signal
import threading
from argparse import ArgumentParser

from django.core.management.base import CommandError

from kafka_bridge.telemetry import probe


def add_metrics_port(parser: ArgumentParser) -> None:
    """Add the option --metrics-port, with METRICS_PORT as its default."""
    parser.add_argument(
        "--metrics-port",
        type=probe.address,
        default=os.environ.get("METRICS_PORT") or None,
        metavar="[HOST:]PORT",
        help="serve /metrics, /health/live and /health/ready there (default: METRICS_PORT, else nowhere)",
    )


def serve_metrics(where: tuple[str, int] | None) -> None:
    """Serve metrics and health, if there is an address.

    Raises CommandError if the port is taken.
    """
    try:
        if where:
            probe.serve(where)
    except OSError as error:
        raise CommandError(f"Nothing can be served on {where}: {error}.") from error


def stop_on_signals() -> threading.Event:
    """Return an event that SIGTERM and SIGINT set: finish the work at hand, then end."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop
