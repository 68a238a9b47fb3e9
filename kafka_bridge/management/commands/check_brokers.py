"""`manage.py check_brokers`: compare the topics on the brokers with their declarations."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from kafka_bridge.checks.brokers import check_brokers


class Command(BaseCommand):
    help = "Checks the declared topics on the brokers: partitions, configuration, replicas. Exits 1 for errors."

    def handle(self, *args: Any, **options: Any) -> None:
        messages = check_brokers()
        errors = [message for message in messages if message.is_serious()]
        for warning in messages:
            if warning not in errors:
                self.stderr.write(str(warning))
        if errors:
            raise CommandError("\n".join([*map(str, errors), f"Errors with topics on the brokers: {len(errors)}."]))
        self.stdout.write("The topics on the brokers are as declared.")
