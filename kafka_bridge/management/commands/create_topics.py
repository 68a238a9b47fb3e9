"""`manage.py create_topics`: create the declared topics on the brokers."""

from typing import Any

from confluent_kafka import KafkaException
from django.core.management.base import BaseCommand, CommandError

from kafka_bridge.brokers import topic_admin


class Command(BaseCommand):
    help = "Creates the topics that the apps declare, with their partitions and configuration; existing ones stay."

    def handle(self, *args: Any, **options: Any) -> None:
        topics = topic_admin.declared_topics()
        try:
            created = topic_admin.create_topics(topics)
        except KafkaException as error:
            raise CommandError(
                f"Kafka refused: {error}. Check bootstrap.servers in KAFKA_CLIENT_CONFIG, "
                "and that this client may create topics."
            ) from error
        for topic in topics:
            state = "created" if topic.name in created else "exists already"
            self.stdout.write(f"{topic.name}: {topic.partitions} partitions, {state}")
