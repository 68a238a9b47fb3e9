"""`manage.py create_topics`: create the declared topics on the brokers."""

from typing import Any

from confluent_kafka import KafkaException
from django.core.management.base import BaseCommand, CommandError

from kafka_bridge.brokers import topic_admin, trouble
from kafka_bridge.events.topics import Topic


class Command(BaseCommand):
    help = (
        "Creates the topics that the apps declare, with their partitions and configuration; existing ones stay. Tells "
        "which of them have another number of partitions: add_partitions raises it."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        topics = topic_admin.declared_topics()
        try:
            created = topic_admin.create_topics(topics)
        except KafkaException as error:
            raise CommandError(trouble.refusal(error.args[0], "Create", "the topics") + ".") from error
        counts = topic_admin.partition_counts(topics)
        for topic in topics:
            self._tell(topic, created=topic.name in created, found=counts.get(topic.name, topic.partitions))

    def _tell(self, topic: Topic, *, created: bool, found: int) -> None:
        self.stdout.write(f"{topic.name}: {found} partitions, {'created' if created else 'exists already'}")
        if found != topic.partitions:
            remedy = "run manage.py add_partitions" if found < topic.partitions else "declare what is there"
            self.stderr.write(
                self.style.ERROR(f"{topic.name} has {found} partitions, {topic.partitions} are declared: {remedy}.")
            )
