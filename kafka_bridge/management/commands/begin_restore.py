"""`manage.py begin_restore`: the first command after a backup is restored (docs/restore.md)."""

from typing import Any

from django.core.management.base import BaseCommand

from kafka_bridge.consuming import restore


class Command(BaseCommand):
    help = (
        "Run this after a backup is restored and before the consumers start. Events that were accepted until now are "
        "then replayed: the decisions about them come back from Kafka and are not taken again."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        restore.begin()
        self.stdout.write("Now start the consumers and the relay. Then run `manage.py after_restore`.")
