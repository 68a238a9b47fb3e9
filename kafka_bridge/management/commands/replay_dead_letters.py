"""`manage.py replay_dead_letters`: what the admin does to one or to some thousands, for any number of them."""

from argparse import ArgumentParser
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError
from django.db.models import QuerySet

from kafka_bridge import dead_letters
from kafka_bridge.dead_letters import Actor, Summary
from kafka_bridge.models import DeadLetter


class Command(BaseCommand):
    help = (
        "Replays open dead letters through the outbox, each to the consumer that failed and under its own event id. "
        "Mend the cause first, and try one: a consumer whose every message fails stops."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--consumer", help="only those of this consumer")
        parser.add_argument("--type", dest="event_type", help="only events of this type")
        parser.add_argument("--reason", choices=DeadLetter.Reason.values, help="only those with this reason")
        parser.add_argument(
            "--ids", nargs="+", type=int, metavar="ID", help="only these, by the id in the admin's address"
        )
        parser.add_argument("--user", help="on whose behalf: leaves an audit entry in the admin for each")
        parser.add_argument("--dry-run", action="store_true", help="count and validate, change nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        letters = _chosen(options)
        if options["dry_run"]:
            summary = dead_letters.check_all(letters, progress=self._progress)
        else:
            summary = dead_letters.replay_all(letters, by=_actor(options["user"]), progress=self._progress)
        self._report(summary, "would be replayed" if options["dry_run"] else "replayed")
        if summary.refused:
            raise CommandError(
                f"{summary.refused.total()} stay open because they do not fit their event's class: correct them in the admin."
            )

    def _progress(self, done: int, of: int) -> None:
        self.stderr.write(f"{done} of {of}", ending="\n" if done == of else "\r")

    def _report(self, summary: Summary, done: str) -> None:
        self.stdout.write(f"{summary.done} of {summary.open} open dead letters {done}")
        if summary.resolved_before:
            self.stdout.write(f"{summary.resolved_before} were resolved by someone else in the meantime")
        for explanation, count in summary.refused.most_common(20):
            self.stdout.write(f"{count} refused: {explanation}")


def _chosen(options: dict[str, Any]) -> QuerySet[DeadLetter]:
    chosen = {name: options[name] for name in ("consumer", "event_type", "reason") if options[name]}
    if options["ids"]:
        chosen["pk__in"] = options["ids"]
    return DeadLetter.objects.filter(**chosen)


def _actor(username: str | None) -> Actor:
    """Raises CommandError where there is no such user."""
    if not username:
        return Actor("manage.py replay_dead_letters")
    user = get_user_model().objects.filter(username=username).first()
    if user is None:
        raise CommandError(f"There is no user {username!r}.")
    return Actor(user.get_username(), user.pk)
