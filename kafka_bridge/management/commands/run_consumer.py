"""`manage.py run_consumer NAME`: runs one consumer until SIGTERM or Ctrl-C."""

import gc
import inspect
import os
import signal
import threading
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from kafka_bridge.consuming import lanes
from kafka_bridge.consuming.handlers import Consumer, consumers
from kafka_bridge.consuming.runner import Runner
from kafka_bridge.exceptions import OffsetsLost, TooManyDeadLetters
from kafka_bridge.telemetry import probe


class Command(BaseCommand):
    help = "Runs a consumer: messages become rows. One consumer is one Kafka group; start as many as you like."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", nargs="?", help="which consumer: see --list")
        parser.add_argument("--list", action="store_true", help="explain the consumers and end")
        add_metrics_port(parser)
        parser.add_argument(
            "--accept-loss",
            action="store_true",
            help="go on where messages are lost to retention or a restored topic, instead of stopping",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["list"]:
            self._explain()
            return
        if options["name"] not in consumers:
            raise CommandError(f"Name one of: {', '.join(sorted(consumers))}. --list explains them.")
        _run(consumers[options["name"]], options["metrics_port"], accept_loss=options["accept_loss"])

    def _explain(self) -> None:
        for name, consumer in sorted(consumers.items()):
            self.stdout.write(self.style.MIGRATE_HEADING(name))
            for event, handler in consumer.handlers.items():
                summary = (inspect.getdoc(handler) or "").split("\n")[0]
                self.stdout.write(f"  {event.topic.name}: {event.type}\n      {summary}")


def _run(consumer: Consumer, metrics_port: tuple[str, int] | None, *, accept_loss: bool) -> None:
    stop = stop_on_signals()
    gc.freeze()  # Django and the apps live as long as we do: collecting only what batches leave is 1.5 times as fast

    def work(lane: str) -> None:
        with explained(consumer.name):
            Runner(consumer, stop=stop, lane=lane, accept_loss=accept_loss).run()

    with lanes.beside(consumer, work, stop):
        serve_metrics(metrics_port)
        work("")


@contextmanager
def explained(name: str) -> Iterator[None]:
    """Raises CommandError, with what to do and an exit code, for what ends a consumer on purpose."""
    try:
        yield
    except TooManyDeadLetters as error:
        raise CommandError(
            f"{name} stopped: {error}, so the cause is hardly in the messages. Nothing more was set aside. "
            "See its last dead letters in the admin and its log, mend the cause, then start it again. Those that are "
            "pending still count: where the messages are to blame after all, replay or discard them first.",
            returncode=3,
        ) from error
    except OffsetsLost as error:
        raise CommandError(str(error), returncode=4) from error


def add_metrics_port(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--metrics-port",
        type=probe.address,
        default=os.environ.get("METRICS_PORT") or None,
        metavar="[HOST:]PORT",
        help="serve /metrics, /health/live and /health/ready there (default: METRICS_PORT, else nowhere)",
    )


def serve_metrics(where: tuple[str, int] | None) -> None:
    """Raises CommandError where the port is taken."""
    try:
        if where:
            probe.serve(where)
    except OSError as error:
        raise CommandError(f"Nothing can be served on {where}: {error}.") from error


def stop_on_signals() -> threading.Event:
    """An event that SIGTERM and SIGINT set: finish what is begun, then end."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop
