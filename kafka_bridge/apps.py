from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules


class KafkaBridgeConfig(AppConfig):
    """The event engine: events, publishing, the outbox, the runner of consumers."""

    name = "kafka_bridge"
    verbose_name = "Kafka"

    def ready(self) -> None:
        autodiscover_modules("events", "consumers")
