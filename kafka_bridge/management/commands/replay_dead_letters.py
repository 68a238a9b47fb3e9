"""`manage.py replay_dead_letters`: replay, correct or discard any number of dead letters."""

import re
from argparse import ArgumentParser, ArgumentTypeError
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError
from django.db.models import QuerySet
from django.utils import timezone

from kafka_bridge.dead_letters import actions
from kafka_bridge.dead_letters.actions import Actor, Summary
from kafka_bridge.exceptions import AlreadyResolved, NotReplayable
from kafka_bridge.models import DeadLetter

UNITS: Final = {"m": "minutes", "h": "hours", "d": "days"}


class Command(BaseCommand):
    help = (
        "Replay open dead letters through the outbox, each under its own event id and only to the consumer that "
        "failed, or discard them. Fix the cause first and try one: a consumer whose every message fails stops."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--consumer", help="only dead letters of this consumer")
        parser.add_argument("--type", dest="event_type", help="only events of this type")
        parser.add_argument("--reason", choices=DeadLetter.Reason.values, help="only dead letters with this reason")
        parser.add_argument(
            "--newer-than", type=age, metavar="AGE", help="only those set aside within this time: 30m, 12h, 7d"
        )
        parser.add_argument("--older-than", type=age, metavar="AGE", help="only those set aside before this time")
        parser.add_argument("--ids", nargs="+", type=int, metavar="ID", help="only these ids, as in the admin's URLs")
        parser.add_argument(
            "--correction", type=Path, metavar="FILE", help="replay the one of --ids with the payload in this file"
        )
        parser.add_argument(
            "--as-type", default="", help="with --correction: the event type, if the message names no declared type"
        )
        parser.add_argument(
            "--discard", metavar="REASON", help="discard them for good; the reason is kept with each message"
        )
        parser.add_argument(
            "--user", help="username for the audit entry of each dead letter; required without --dry-run"
        )
        parser.add_argument("--dry-run", action="store_true", help="count and validate only; change nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        _check(options)
        letters = _chosen(options)
        if options["dry_run"]:
            return self._report(actions.check_all(letters, progress=self._progress), "would be replayed")
        actor = _actor(options["user"])
        if options["correction"]:
            return self._correct(options, actor)
        if options["discard"]:
            return self._report(actions.discard_all(letters, by=actor, reason=options["discard"]), "discarded")
        return self._report(actions.replay_all(letters, by=actor, progress=self._progress), "replayed")

    def _correct(self, options: dict[str, Any], actor: Actor) -> None:
        [pk] = options["ids"]
        try:
            value = options["correction"].read_bytes()
            actions.replay(pk, by=actor, value=value, event_type=options["as_type"])
        except (OSError, NotReplayable, AlreadyResolved, DeadLetter.DoesNotExist) as error:
            raise CommandError(f"Dead letter {pk} was not replayed: {error}") from error
        self.stdout.write("1 dead letter corrected and replayed")

    def _progress(self, done: int, of: int) -> None:
        self.stderr.write(f"{done} of {of}", ending="\n" if done == of else "\r")

    def _report(self, summary: Summary, done: str) -> None:
        """Print the outcome. Raises CommandError if some dead letters were refused."""
        self.stdout.write(f"{summary.done} of {summary.open} open dead letters {done}")
        if summary.resolved_before:
            self.stdout.write(f"{summary.resolved_before} were resolved by someone else in the meantime")
        for explanation, count in summary.refused.most_common(20):
            self.stdout.write(f"{count} refused: {explanation}")
        if summary.refused:
            raise CommandError(
                f"{summary.refused.total()} stay open because they do not fit their event's class: correct them first."
            )


def age(text: str) -> timedelta:
    """Parse minutes, hours or days: 30m, 12h, 7d. Raises ArgumentTypeError."""
    found = re.fullmatch(r"(\d{1,5})([mhd])", text)
    if not found:
        raise ArgumentTypeError("expected a number of minutes, hours or days, such as 30m, 12h or 7d")
    return timedelta(**{UNITS[found[2]]: int(found[1])})


def _check(options: dict[str, Any]) -> None:
    """Raise CommandError if the options contradict each other."""
    if options["correction"] and len(options["ids"] or ()) != 1:
        raise CommandError("--correction is for one dead letter: give its id with --ids.")
    if options["correction"] and (options["discard"] or options["dry_run"]):
        raise CommandError("--correction cannot be combined with --discard or --dry-run.")
    if options["as_type"] and not options["correction"]:
        raise CommandError("--as-type requires --correction.")
    if options["discard"] is not None and (not options["discard"].strip() or options["dry_run"]):
        raise CommandError("--discard takes a reason and cannot be combined with --dry-run.")


def _chosen(options: dict[str, Any]) -> QuerySet[DeadLetter]:
    chosen = {name: options[name] for name in ("consumer", "event_type", "reason") if options[name]}
    if options["ids"]:
        chosen["pk__in"] = options["ids"]
    if options["newer_than"]:
        chosen["created_at__gte"] = timezone.now() - options["newer_than"]
    if options["older_than"]:
        chosen["created_at__lt"] = timezone.now() - options["older_than"]
    return DeadLetter.objects.filter(**chosen)


def _actor(username: str | None) -> Actor:
    """Return the user as an Actor. Raises CommandError without one: audit entries need a user."""
    if not username:
        raise CommandError("Give the username for the audit entries with --user.")
    user = get_user_model().objects.filter(username=username).first()
    if user is None:
        raise CommandError(f"There is no user {username!r}.")
    return Actor(user.get_username(), user.pk)
