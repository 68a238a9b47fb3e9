"""`manage.py run_consumer NAME`: runs one consumer until SIGTERM or Ctrl-C."""

import inspect
import os
import signal
import threading
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from kafka_bridge import probe
from kafka_bridge.batch import TooManyDeadLetters
from kafka_bridge.handlers import consumers
from kafka_bridge.positions import OffsetsLost
from kafka_bridge.runner import run_lanes


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
            return self._explain()
        if options["name"] not in consumers:
            raise CommandError(f"Name one of: {', '.join(sorted(consumers))}. --list explains them.")
        stop = stop_on_signals()
        serve_metrics(options["metrics_port"])
        try:
            run_lanes(consumers[options["name"]], stop=stop, accept_loss=options["accept_loss"])
        except TooManyDeadLetters as error:
            raise CommandError(
                f"{options['name']} stopped: {error}, so the cause is hardly in the messages. Nothing more was set aside. "
                "See its last dead letters in the admin and its log, mend the cause, then start it again. Those that are "
                "pending still count: where the messages are to blame after all, replay or discard them first.",
                returncode=3,
            ) from error
        except OffsetsLost as error:
            raise CommandError(str(error), returncode=4) from error

    def _explain(self) -> None:
        for name, consumer in sorted(consumers.items()):
            self.stdout.write(self.style.MIGRATE_HEADING(name))
            for event, handler in consumer.handlers.items():
                summary = (inspect.getdoc(handler) or "").split("\n")[0]
                self.stdout.write(f"  {event.topic.name}: {event.type}\n      {summary}")


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
