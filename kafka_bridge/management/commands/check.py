"""Django's `check`, with the opt-in tag `kafka`: `manage.py check --tag kafka` asks the brokers about the topics."""

from typing import Any

from django.core import checks
from django.core.management.commands.check import Command as DjangoCheck

from kafka_bridge.checks import KAFKA_TAG, check_brokers


class Command(DjangoCheck):
    """A registered check runs without being asked for; this one needs brokers, so it is registered when its tag is named."""

    def handle(self, *app_labels: Any, **options: Any) -> None:
        if options["list_tags"] or KAFKA_TAG in (options["tags"] or []):
            checks.register(check_brokers, KAFKA_TAG)
        try:
            super().handle(*app_labels, **options)
        finally:
            checks.registry.registry.registered_checks.discard(check_brokers)
