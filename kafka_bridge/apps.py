"""The engine as a Django app."""

from django.apps import AppConfig
from django.core import checks
from django.utils.module_loading import autodiscover_modules


class KafkaBridgeConfig(AppConfig):
    """The event engine: events, publishing, the outbox, the runner of consumers."""

    name = "kafka_bridge"
    verbose_name = "Kafka"

    def ready(self) -> None:
        """Import the modules in which apps declare events, handlers and due work."""
        autodiscover_modules("events", "consumers", "monitoring")
        from kafka_bridge.checks.deployment import check_deployment
        from kafka_bridge.checks.events import check_events

        checks.register(check_events, "events")
        checks.register(check_deployment, "events", deploy=True)
