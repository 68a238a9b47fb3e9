"""`manage.py overview`: the overview of the admin's page in a terminal."""

import sys
import time
from argparse import ArgumentParser
from datetime import datetime
from typing import Any

import msgspec
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, InterfaceError
from django.utils import timezone
from django.utils.translation import gettext as _
from rich.console import Console, Group
from rich.panel import Panel
from rich.table import Column, Table
from rich.text import Text

from kafka_bridge.monitoring import overview
from kafka_bridge.monitoring.durations import duration
from kafka_bridge.monitoring.overview import Overview
from kafka_bridge.monitoring.problems import ALL_WELL, Problem
from kafka_bridge.monitoring.system_state import GroupState


class Command(BaseCommand):
    help = (
        "Show what is wrong and what to do about it, the consumers and the topics. Exit 1 if a problem is grave. "
        "The output is in the language of the settings."
    )
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--seconds", type=float, default=1.0, help="the time between two overviews, for the rates (default: 1)"
        )
        parser.add_argument("--json", action="store_true", help="print one overview as JSON, for scripts")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            seen = overview.take()
            if options["json"]:
                sys.stdout.write(f"{msgspec.json.encode(seen).decode()}\n")
            else:
                before = seen
                time.sleep(options["seconds"])
                seen = overview.take()
                Console().print(rendered(seen, before))
        except (DatabaseError, InterfaceError) as error:
            raise CommandError("The database does not answer: nothing can be accepted or applied.") from error
        sys.exit(1 if any(problem.grave for problem in seen.problems) else 0)


def rendered(seen: Overview, before: Overview) -> Group:
    """Return the problems, then the tables; rates are the difference to the overview `before`."""
    panels = [_problem(problem) for problem in seen.problems]
    if not panels:
        panels = [Panel(str(ALL_WELL), title=_("Everything works"), border_style="green")]
    tables = [_groups(seen, before)]
    if seen.topics:
        tables.append(_topics(seen, before))
    return Group(*panels, _summary(seen), *tables)


def _problem(problem: Problem) -> Panel:
    colour = "red" if problem.grave else "yellow"
    return Panel(Text(problem.advice), title=problem.summary, title_align="left", border_style=colour)


def _summary(seen: Overview) -> Text:
    brokers = _("does not answer") if seen.brokers is None else ", ".join(seen.brokers.values())
    oldest = ""
    if seen.outbox.messages:
        oldest = " " + _("(the oldest for %(duration)s)") % {"duration": duration(seen.outbox.oldest_s)}
    return Text(f"Kafka: {brokers} · outbox: {seen.outbox.messages}{oldest}")


def _groups(seen: Overview, before: Overview) -> Table:
    headings = _("Processes"), _("State"), _("To apply"), _("Wait"), _("Per second"), _("Last batch"), _("Unprocessed")
    table = Table(Column(_("Group"), no_wrap=True), *headings)
    earlier = {group.group: group.applied for group in before.groups}
    for group in seen.groups:
        table.add_row(
            group.group,
            _known(group.members),
            group.state,
            _known(group.lag),
            _wait(group),
            _rate(group.applied, earlier.get(group.group, 0), seen, before),
            _clock(group.last_batch),
            "" if group.lane else str(group.open_dead_letters),
        )
    return table


def _topics(seen: Overview, before: Overview) -> Table:
    headings = _("Partitions"), _("In-sync replicas"), _("Stored"), _("Per second")
    table = Table(Column(_("Topic"), no_wrap=True), *headings)
    earlier = {topic.name: topic.end for topic in before.topics}
    for topic in seen.topics:
        in_sync = min((one.in_sync for one in topic.partitions), default=0)
        replicas = max((one.replicas for one in topic.partitions), default=0)
        end, then = topic.end, earlier.get(topic.name)
        table.add_row(
            topic.name,
            _("missing") if topic.missing else str(len(topic.partitions)),
            _("%(in_sync)d of %(replicas)d") % {"in_sync": in_sync, "replicas": replicas},
            _known(topic.messages),
            "?" if end is None or then is None else _rate(end, then, seen, before),
        )
    return table


def _wait(group: GroupState) -> str:
    if group.lag == 0:
        return "-"
    return "?" if group.waiting_s is None else duration(group.waiting_s)


def _rate(now: int, then: int, seen: Overview, before: Overview) -> str:
    seconds = seen.at - before.at
    return f"{(now - then) / seconds:.1f}" if seconds > 0 else "-"


def _known(count: int | None) -> str:
    return "?" if count is None else str(count)


def _clock(moment: str | None) -> str:
    return f"{timezone.localtime(datetime.fromisoformat(moment)):%d-%m %H:%M:%S}" if moment else "-"
