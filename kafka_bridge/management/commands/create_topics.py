"""`manage.py create_topics`: makes the declared topics on the brokers."""

from typing import Any

from confluent_kafka import KafkaException
from django.core.management.base import BaseCommand, CommandError

from kafka_bridge.brokers import topic_admin


class Command(BaseCommand):
    help = "Makes the topics that the apps declare, with their partitions and configuration; existing ones stay as they are."

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            created = topic_admin.create_topics(topic_admin.declared_topics())
        except KafkaException as error:
            raise CommandError(
                f"Kafka refused: {error}. Is KAFKA_BOOTSTRAP_SERVERS right, and may we create topics?"
            ) from error
        for topic in topic_admin.declared_topics():
            state = "made" if topic.name in created else "already there"
            self.stdout.write(f"{topic.name}: {topic.partitions} partitions, {state}")
