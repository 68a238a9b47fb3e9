"""`manage.py run_outbox_relay`: publishes the outbox until SIGTERM or Ctrl-C."""

from typing import Any

from django.core.management.base import BaseCommand

from kafka_bridge import relay
from kafka_bridge.management.commands.run_consumer import stop_on_signals


class Command(BaseCommand):
    help = "Publishes what was accepted into the outbox. Several may run: each takes shards of the keys."

    def handle(self, *args: Any, **options: Any) -> None:
        relay.run(stop_on_signals())
