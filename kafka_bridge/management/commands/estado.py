"""`manage.py estado`: the overview of the admin's page in a terminal."""

import sys
import time
from argparse import ArgumentParser
from datetime import datetime
from typing import Any

import msgspec
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, InterfaceError
from django.utils import timezone
from rich.console import Console, Group
from rich.panel import Panel
from rich.table import Column, Table
from rich.text import Text

from kafka_bridge.monitoring import overview
from kafka_bridge.monitoring.overview import Overview
from kafka_bridge.monitoring.problems import duration
from kafka_bridge.monitoring.system_state import GroupState


class Command(BaseCommand):
    help = (
        "Tells whether the guild is served: what is wrong and what to do, consumers, topics. Exits 1 where it is not."
    )
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--seconds", type=float, default=1.0, help="between two looks, for the rates (default: 1)")
        parser.add_argument("--json", action="store_true", help="one look, for scripts")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            before = overview.look()
            if options["json"]:
                sys.stdout.write(f"{msgspec.json.encode(before).decode()}\n")
                seen = before
            else:
                time.sleep(options["seconds"])
                seen = overview.look()
                Console().print(shown(seen, before))
        except (DatabaseError, InterfaceError) as error:
            raise CommandError("La base de datos no responde: nada se puede aceptar ni aplicar.") from error
        sys.exit(1 if any(problem.grave for problem in seen.problems) else 0)


def shown(seen: Overview, before: Overview) -> Group:
    """What is wrong first, then the tables."""
    wrong = [
        Panel(
            Text(problem.do), title=problem.what, title_align="left", border_style="red" if problem.grave else "yellow"
        )
        for problem in seen.problems
    ]
    well = [] if wrong else [Panel(overview.ALL_WELL, title="Todo funciona", border_style="green")]
    brokers = "no responde" if seen.brokers is None else ", ".join(seen.brokers.values())
    waiting = f" (el más antiguo, hace {duration(seen.outbox.oldest_s)})" if seen.outbox.messages else ""
    line = Text(f"Kafka: {brokers} · outbox: {seen.outbox.messages}{waiting}")
    return Group(*wrong, *well, line, _groups(seen, before), *([_topics(seen, before)] if seen.topics else []))


def _groups(seen: Overview, before: Overview) -> Table:
    table = Table(
        *(Column("Grupo", no_wrap=True), "Procesos", "Estado", "Por aplicar", "Espera", "Por segundo", "Último lote"),
        "Sin procesar",
    )
    earlier = {group.group: _applied(group) for group in before.groups}
    for group in seen.groups:
        table.add_row(
            group.group,
            "?" if group.members is None else str(group.members),
            group.state,
            "?" if group.lag is None else str(group.lag),
            "-" if group.lag == 0 else "?" if group.waiting_s is None else duration(group.waiting_s),
            _rate(_applied(group), earlier.get(group.group, 0), seen, before),
            _clock(group.last_batch),
            "" if group.lane else str(group.open_dead_letters),
        )
    return table


def _topics(seen: Overview, before: Overview) -> Table:
    table = Table(Column("Tópico", no_wrap=True), "Particiones", "Copias al día", "Guardados", "Por segundo")
    earlier = {topic.name: topic.end for topic in before.topics}
    for topic in seen.topics:
        in_sync = min((one.in_sync for one in topic.partitions), default=0)
        replicas = max((one.replicas for one in topic.partitions), default=0)
        end, then = topic.end, earlier.get(topic.name)
        rate = "?" if end is None or then is None else _rate(end, then, seen, before)
        count = "falta" if topic.missing else str(len(topic.partitions))
        table.add_row(topic.name, count, f"{in_sync} de {replicas}", _known(topic.messages), rate)
    return table


def _applied(group: GroupState) -> int:
    return sum(one.next_offset for one in group.progress)


def _rate(now: int, then: int, seen: Overview, before: Overview) -> str:
    seconds = seen.at - before.at
    return f"{(now - then) / seconds:.1f}" if seconds > 0 else "-"


def _known(count: int | None) -> str:
    return "?" if count is None else str(count)


def _clock(moment: str | None) -> str:
    return f"{timezone.localtime(datetime.fromisoformat(moment)):%d-%m %H:%M:%S}" if moment else "-"
