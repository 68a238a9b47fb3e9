"""`manage.py begin_replay`: the first thing after a backup was restored (docs/restore.md)."""

from typing import Any

from django.core.management.base import BaseCommand

from kafka_bridge.consuming import restore


class Command(BaseCommand):
    help = (
        "Run it when a backup was restored, before the consumers start: what was accepted until now is then replayed as "
        "history, without deciding it anew."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        restore.begin()
        self.stdout.write("Now start the consumers and the relay; then run manage.py after_restore.")
