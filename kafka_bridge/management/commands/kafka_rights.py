"""`manage.py kafka_rights`: the rights in Kafka that each process needs."""

from argparse import ArgumentParser
from typing import Any, Final

from confluent_kafka import KafkaException
from django.core.management.base import BaseCommand, CommandError

from kafka_bridge.brokers import trouble
from kafka_bridge.rights import acls, table
from kafka_bridge.rights.table import Right

TOOL: Final = 'kafka-acls.sh --bootstrap-server "$SERVERS" --command-config admin.properties'


class Command(BaseCommand):
    help = (
        "Prints the rights in Kafka that each process needs. With --apply, adds the missing ones to the brokers, as an "
        "administrator of Kafka, and names those that are too many. Run it again after "
        "an upgrade: a new topic needs new rights."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--apply", action="store_true", help="add the missing rights to the brokers")
        parser.add_argument("--commands", action="store_true", help="print them as commands of kafka-acls.sh")
        parser.add_argument(
            "--principal",
            default="User:{process}",
            help="who a process is for Kafka; {process} is its name in the table (default: User:{process})",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        template = options["principal"]
        if not template.startswith("User:"):
            raise CommandError("--principal looks like User:shop-{process}, or User:shop for one user of all.")
        rights = _by_principal(template)
        if options["apply"]:
            self._apply(rights)
        elif options["commands"]:
            for line in acls.commands(rights, TOOL):
                self.stdout.write(line)
        else:
            self._print(rights)

    def _print(self, rights: dict[str, list[Right]]) -> None:
        for principal, theirs in rights.items():
            self.stdout.write(self.style.MIGRATE_HEADING(principal))
            for right in theirs:
                self.stdout.write(f"  {right.kind} {right.name}: {', '.join(right.operations)}")

    def _apply(self, rights: dict[str, list[Right]]) -> None:
        """Add what is missing, and name what the table does not have. Raises CommandError."""
        try:
            for principal, theirs in rights.items():
                wanted, found = acls.bindings(principal, theirs), acls.on_brokers(principal)
                missing = [one for one in wanted if one not in found]
                acls.add(missing)
                self.stdout.write(f"{principal}: {len(missing)} rights added, {len(wanted) - len(missing)} existed")
                for surplus in sorted(acls.in_words(one) for one in found if one not in wanted):
                    self.stderr.write(self.style.WARNING(f"not needed: {surplus}"))
        except KafkaException as error:
            raise CommandError(trouble.refusal(error.args[0], "Alter", "the cluster") + ".") from error


def _by_principal(template: str) -> dict[str, list[Right]]:
    """Return the rights by user; one user of all processes gets the rights of all."""
    found: dict[str, list[Right]] = {}
    for process, rights in table.by_process().items():
        theirs = found.setdefault(template.replace("{process}", process), [])
        theirs += [right for right in rights if right not in theirs]
    return found
