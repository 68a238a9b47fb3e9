"""`manage.py run_outbox_relay`: publish the outbox until SIGTERM or Ctrl-C."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from kafka_bridge.management.processes import add_metrics_port, serve_metrics, stop_on_signals
from kafka_bridge.publishing import relay
from kafka_bridge.waits import limit_silence


class Command(BaseCommand):
    help = "Publishes the messages in the outbox. Several may run: each takes some of the keys."

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_metrics_port(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        limit_silence()
        serve_metrics(options["metrics_port"])
        relay.run(stop_on_signals())
