"""`manage.py add_partitions`: raise topics to their declared number of partitions, online."""

from argparse import ArgumentParser
from typing import Any

from confluent_kafka import KafkaException
from django.core.management.base import BaseCommand, CommandError

from kafka_bridge.brokers import topic_admin, trouble
from kafka_bridge.events.topics import Topic


class Command(BaseCommand):
    help = (
        "Adds the partitions that topics lack, while everything runs: as many as the apps declare, or as "
        'KAFKA_BRIDGE["PARTITIONS"] sets. Running consumers and producers find them within 30 seconds; until then, '
        "events for them wait in the outbox. Keys change partition: a key's events before and after may be applied in "
        "another order, and the priority partition stays as it is. Kafka cannot take partitions away, so a smaller "
        "number is refused. A second run changes nothing."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("topics", nargs="*", metavar="TOPIC", help="only these topics (default: all)")
        parser.add_argument("--dry-run", action="store_true", help="tell what would be added, and add nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        topics = _chosen(options["topics"])
        try:
            before = topic_admin.partition_counts(topics)
            raised = topic_admin.add_partitions(topics, dry_run=options["dry_run"])
        except topic_admin.TooManyPartitions as error:
            raise CommandError(
                f"Kafka cannot take partitions away: {error}. Declare as many as there are. Nothing was changed."
            ) from error
        except KafkaException as error:
            raise CommandError(trouble.refusal(error.args[0], "Alter", "the topics") + ".") from error
        for topic in topics:
            self.stdout.write(f"{topic.name}: {_outcome(topic, before, raised, dry_run=options['dry_run'])}")


def _chosen(names: list[str]) -> list[Topic]:
    """Return the declared topics of these names, or all. Raises CommandError for another name."""
    declared = {topic.name: topic for topic in topic_admin.declared_topics()}
    if unknown := sorted(set(names) - declared.keys()):
        raise CommandError(f"No such topic: {', '.join(unknown)}. Declared: {', '.join(declared)}.")
    return [declared[name] for name in names or declared]


def _outcome(topic: Topic, before: dict[str, int], raised: dict[str, int], *, dry_run: bool) -> str:
    if topic.name not in before:
        return "does not exist: run manage.py create_topics"
    if topic.name not in raised:
        return f"has {topic.partitions} partitions already"
    verb = "would be raised" if dry_run else "raised"
    return f"{verb} from {raised[topic.name]} to {topic.partitions} partitions"
