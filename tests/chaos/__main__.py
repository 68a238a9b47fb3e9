"""`./dev chaos`: faults under load, then an audit of what was accepted. Exit code 1 where anything was lost or doubled."""

import argparse
import os
import random
import secrets
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import django
from rich.console import Console
from rich.live import Live

from deploy.embedded import Stack, StackError
from deploy.embedded.signals import interrupt_on_termination
from deploy.embedded.waiting import wait_until
from mamochi_site.stack import CHECKOUT, DEFAULT_PORT, System, running_system

if TYPE_CHECKING:
    from tests.chaos.report import Recovery

DEFAULT_FOLDER: Final = CHECKOUT / ".mamochi" / "chaos"
SETTINGS: Final = {"REVISION_AUTOMATICA": "true", "LIMITE_INSCRIPCIONES": "", "LOG_LEVEL": "INFO"}
DRAIN_S: Final = 420.0  # a mail whose worker was killed waits until its claim lapses, for three minutes
CONSUMERS_EACH: Final = 2
LINE_WIDTH: Final = 140  # where the output is no terminal
INTERRUPTED: Final = 130


def arguments() -> argparse.Namespace:
    """What to run; without a seed a new one, which is printed."""
    parser = argparse.ArgumentParser(prog="./dev chaos", description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0, help="of faults under load (default: 5); draining comes on top")
    parser.add_argument("--seed", type=int, help="the same faults and wishes in the same order (default: random)")
    parser.add_argument("--brokers", type=int, choices=[1, 3], default=3, help="Kafka brokers (default: 3)")
    parser.add_argument("--dir", type=Path, default=DEFAULT_FOLDER, help="its folder; old data in it is removed")
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, help="the web's, or the next free one")
    options = parser.parse_args()
    options.seed = secrets.randbelow(10**6) if options.seed is None else options.seed
    return options


def main() -> int:
    """0: the audit is green; 1: it is not, or the system could not be run; 130: interrupted."""
    options = arguments()
    console = Console() if sys.stdout.isatty() else Console(width=LINE_WIDTH)
    interrupt_on_termination()
    say = lambda text: console.print(f"  {text}", markup=False, highlight=False, soft_wrap=True)  # noqa: E731
    say(f"seed {options.seed}, {options.minutes:g} minutes, {options.brokers} broker(s), data in {options.dir}")
    try:
        stack = Stack(options.dir, brokers=options.brokers, fresh=True, say=say, environ={})
        with running_system(stack, port=options.port, settings=SETTINGS, consumers=CONSUMERS_EACH) as system:
            os.environ.update(system.environment)
            django.setup()
            return 0 if Run(system, options, console).play() else 1
    except StackError as error:
        console.print(f"./dev chaos: {error}", style="red", markup=False, soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        console.print("Interrupted: everything is stopped.")
        return INTERRUPTED


class Run:
    """One run on a running system."""

    def __init__(self, system: System, options: argparse.Namespace, console: Console) -> None:
        from kafka_bridge import broker
        from tests.chaos.journal import Journal
        from tests.chaos.load import VENDORS, Crowd, Newcomers, Someone, Vendor
        from tests.chaos.nemesis import Nemesis
        from tests.chaos.pulse import PROBE, KafkaPulse, RowsPulse

        self.system, self.options, self.console = system, options, console
        self.folder: Path = system.stack.folder
        self.journal = Journal(self.folder / "journal.jsonl")
        self.seconds = 60 * options.minutes
        self.stop, self.stop_watching = threading.Event(), threading.Event()
        broker.create_topics([PROBE])
        chance = random.Random(options.seed)  # noqa: S311 - a run that can be repeated
        crowd = Crowd(random.Random(chance.getrandbits(64)))  # noqa: S311
        clock = lambda: self.journal.now  # noqa: E731
        self.nemesis = Nemesis(system, self.stop, clock, chance.getrandbits(64))
        self.kafka = KafkaPulse(system.stack.kafka.url, self.stop_watching, clock)
        self.rows = RowsPulse(system.environment["DATABASE_URL"], self.stop_watching, clock)
        shared: tuple[Any, ...] = (system.url, system.stack.mailbox, self.journal, self.stop)
        vendors = [Vendor(crowd.next(), *shared, chance.getrandbits(64)) for _ in range(VENDORS)]
        self.load: list[Someone] = [*vendors, Newcomers(crowd, *shared, chance.getrandbits(64))]
        self.died: list[str] = []

    def play(self) -> bool:
        """Load, faults, healing, draining, closing, audit. Whether every promise was kept."""
        threads = [self.kafka, self.rows, *self.load, self.nemesis]
        for thread in threads:
            thread.start()
        with self._shown():
            self._faults()
        self._heal()
        drained = self._drain()
        closed = drained and self._close_the_week()
        self.stop_watching.set()
        for watcher in (self.kafka, self.rows):
            watcher.join(60)
        self.journal.close()
        return self._report() and closed

    def _faults(self) -> None:
        while self.journal.now < self.seconds:
            time.sleep(0.2)
            self._look_after_processes()
            if self.nemesis.failure:
                raise self.nemesis.failure

    def _look_after_processes(self) -> None:
        """As a platform does: what ended by itself is started again; the audit names it."""
        for name, process in self.system.applications.items():
            if process.returncode is not None and not self.nemesis.has_killed(name):
                self.died.append(f"{name} (exit code {process.returncode}){process.last_words()}")
                self.system.stack.restart(name)

    def _heal(self) -> None:
        self._say("healing, and stopping the load")
        self.stop.set()
        for thread in (self.nemesis, *self.load):
            thread.join(120)
        if self.nemesis.failure:
            raise self.nemesis.failure

    def _drain(self) -> bool:
        """Until nothing is on its way any more."""
        self._say("waiting until everything that was accepted has arrived")
        return self._until(self._nothing_waits, "what was accepted did not arrive")

    def _nothing_waits(self) -> bool:
        self._look_after_processes()
        waiting = self._waiting()
        if waiting != getattr(self, "_told", None):
            self._told = waiting
            self._say("  " + (", ".join(f"{what} {count}" for what, count in waiting.items() if count) or "nothing waits"))
        return not any(waiting.values())

    def _waiting(self) -> dict[str, int]:
        """How much of what is on its way."""
        from confluent_kafka import KafkaException
        from django.db import DatabaseError, InterfaceError, connection

        from inscripciones.models import Envio
        from kafka_bridge.models import OutboxMessage
        from mamochi_site.demo.observers import declared_partitions, progress
        from stock.models import Aviso

        try:
            lag, _ = progress(declared_partitions())
            return {
                "outbox": OutboxMessage.objects.count(),
                "lag": sum(lag.values()),
                "e-mails": Envio.objects.filter(estado__in=Envio.ABIERTOS).count(),
                "notices": Aviso.objects.filter(estado=Aviso.Estado.ABIERTO).count(),
            }
        except (KafkaException, DatabaseError, InterfaceError):
            connection.close()
            return {"answers": 1}

    def _close_the_week(self) -> bool:
        """By Celery Beat, through its schedule's row, as on Mondays."""
        from django.utils import timezone

        from mamochi_site.demo.week import closing_now
        from ventas.models import ReporteSemanal

        self._say("Celery Beat closes the week")
        due = ReporteSemanal.objects.exclude(envio=ReporteSemanal.Envio.ENVIADO)
        with closing_now(timezone.now()):
            return self._until(
                lambda: ReporteSemanal.objects.exists() and not due.exists(), "the weekly e-mails were not sent"
            )

    def _until(self, condition: Callable[[], bool], otherwise: str) -> bool:
        try:
            return wait_until(condition, DRAIN_S, interval=1.0)
        except TimeoutError:
            self.console.print(f"{otherwise} within {DRAIN_S:g} s", style="bold red", highlight=False)
            return False

    def _report(self) -> bool:
        from tests.chaos import report
        from tests.chaos.audit import Audit

        found = self._recoveries()
        checks = Audit(self.system, self.journal, self.nemesis.faults, self.kafka).checks(self.died)
        for part in (report.table(found), report.by_fault(found), report.verdict(checks)):
            self.console.print(part)
        facts = {key: str(value) for key, value in vars(self.options).items()}
        report.plot(self.folder / "chaos.svg", self.journal, self.nemesis.faults)
        self._say(f"written to {report.write(self.folder, facts, found, checks)} and chaos.svg beside it")
        broken = sum(not check.ok for check in checks)
        text, style = (f"{broken} promises broken", "bold red") if broken else ("Nothing lost, nothing doubled.", "bold green")
        self.console.print(text, style=style)
        return not broken

    def _recoveries(self) -> "list[Recovery]":
        from tests.chaos import report

        return report.recoveries(self.nemesis.faults, self.journal, self.kafka, self.rows)

    @contextmanager
    def _shown(self) -> Iterator[None]:
        """The live picture on a terminal, else a line a fault."""
        from tests.chaos import report

        if not self.console.is_terminal:
            self.nemesis.on_fault = lambda fault: self._say(f"{fault.began:6.1f} s  {fault.name}: {fault.target}")
            yield
            return

        def draw() -> Any:
            return report.picture(self.journal, self._recoveries(), "Faults under load", self.seconds - self.journal.now)

        with Live(get_renderable=draw, console=self.console, refresh_per_second=2):
            yield

    def _say(self, text: str) -> None:
        self.console.print(f"  {text}", markup=False, highlight=False, soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())
