"""`manage.py check_event_schemas`: compare the event classes with their frozen schemas."""

import re
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from kafka_bridge import conf
from kafka_bridge.events import schemas
from kafka_bridge.events.event import Event, registered
from kafka_bridge.events.schemas import Difference


class Command(BaseCommand):
    help = (
        "Compare the event classes with their frozen schemas: producers and consumers one release apart, "
        "in either direction, must understand each other."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--write", action="store_true", help="freeze new types and new optional fields; never a break"
        )
        parser.add_argument(
            "--folder", type=Path, default=conf.CONTRACTS, help="the frozen schemas (default: KAFKA_BRIDGE's CONTRACTS)"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        folder, events = options["folder"], sorted(registered.values(), key=lambda event: event.type)
        if folder is None:
            raise CommandError("Set CONTRACTS in KAFKA_BRIDGE, or name a --folder.")
        problems = [problem for event in events for problem in self._check(event, folder, write=options["write"])]
        problems += [_orphan(name, folder) for name in schemas.orphans(events, folder)]
        if problems:
            raise CommandError("\n\n".join([*problems, f"{len(problems)} problems with event schemas."]))
        self.stdout.write(f"{len(events)} event types keep to their frozen schemas.")

    def _check(self, event: type[Event], folder: Path, *, write: bool) -> list[str]:
        """Return the problems of one event, each as a sentence.

        With `write`, allowed changes are frozen and are no problem any more.
        """
        frozen = schemas.read_frozen(event.type, folder)
        differences = schemas.compare(frozen, schemas.schema_of(event)) if frozen else []
        breaks = [_break(event, difference, difference.breaks) for difference in differences if difference.breaks]
        if breaks:
            return breaks
        if write:
            schemas.freeze(event, folder)
            return []
        if frozen is None:
            return [f"{event.type}: a new type, not frozen yet. Freeze it: manage.py check_event_schemas --write"]
        return [_addition(event, difference) for difference in differences]


def _break(event: type[Event], difference: Difference, breaks: schemas.Breaks) -> str:
    field = f"the field `{difference.field}` " if difference.field else ""
    return (
        f"{event.type}: {field}{difference.change}: {breaks.value}.\n"
        f"    Leave this version as it was, and declare {_next_version(event.type)} beside it for the change: first "
        "deploy consumers that handle both, then the producer."
    )


def _addition(event: type[Event], difference: Difference) -> str:
    return (
        f"{event.type}: the field `{difference.field}` {difference.change}, which is allowed but not frozen yet. "
        "Freeze it: manage.py check_event_schemas --write"
    )


def _orphan(name: str, folder: Path) -> str:
    return (
        f"{name}: no class declares it any more, and its events would become dead letters.\n"
        "    Keep the class and its handlers until the topic holds no such event, then delete "
        f"{schemas.file_of(name, folder)}"
    )


def _next_version(event_type: str) -> str:
    return re.sub(r"\d+$", lambda version: str(int(version[0]) + 1), event_type)
