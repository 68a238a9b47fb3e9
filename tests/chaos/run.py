"""One chaos run: load, faults, healing, draining, the closing of the week, the audit."""

import argparse
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from django.db import DatabaseError, InterfaceError, connection
from django.utils import timezone
from rich.console import Console
from rich.live import Live

from deploy.embedded import StackError
from deploy.embedded.waiting import wait_until
from inscripciones.models import Envio
from kafka_bridge.brokers import topic_admin
from kafka_bridge.exceptions import KafkaUnavailable
from kafka_bridge.models import OutboxMessage
from mamochi_site.local.demo.week import closing_now
from mamochi_site.local.system import System
from stock.models import Aviso
from tests.chaos import report, topics
from tests.chaos.audit import Audit
from tests.chaos.checker import state
from tests.chaos.checker.__main__ import in_words
from tests.chaos.checker.check import JOURNAL, STATE, check_folder
from tests.chaos.faults.clocks import Clocks
from tests.chaos.faults.plan import Context
from tests.chaos.gate import Gate
from tests.chaos.journal import Journal
from tests.chaos.load import VENDORS, Crowd, Newcomers, Someone, Vendor, World
from tests.chaos.nemesis import Nemesis
from tests.chaos.network.hub import Network
from tests.chaos.pulse import PROBE, KafkaPulse, RowsPulse
from tests.chaos.recovery.times import Recovery
from tests.chaos.report import next_accepted, recoveries
from ventas.models import ReporteSemanal

HEAL_S: Final = 600.0  # the longest act on a topic: its command and three waits
DRAIN_S: Final = 420.0  # the e-mail of a killed worker waits three minutes, until its claim expires


class Run:
    """One run on a running system."""

    def __init__(
        self,
        system: System,
        options: argparse.Namespace,
        console: Console,
        network: Network | None = None,
        clocks: Clocks | None = None,
    ) -> None:
        self.system, self.options, self.console = system, options, console
        self.folder: Path = system.stack.folder
        self.journal = Journal(self.folder / JOURNAL)
        self.seconds = 60 * options.minutes
        self.stop_faults, self.stop_load, self.stop_watching = threading.Event(), threading.Event(), threading.Event()
        topic_admin.create_topics([PROBE])
        chance = random.Random(options.seed)
        crowd = Crowd(random.Random(chance.getrandbits(64)))
        clock = self.journal.now
        gate = Gate()
        context = Context(system, random.Random(chance.getrandbits(64)), network, clocks)
        self.nemesis = Nemesis(context, gate, self.stop_faults, clock)
        self.kafka = KafkaPulse(system.stack.kafka.url, self.stop_watching, clock)
        self.nemesis.acknowledged = self.kafka.next_after
        self.rows = RowsPulse(system.environment["DATABASE_URL"], self.stop_watching, clock)
        world = World(system.url, system.stack.mailbox, self.journal, gate, self.stop_load)
        vendors = [Vendor(crowd.next(), world, chance.getrandbits(64)) for _ in range(VENDORS)]
        self.load: list[Someone] = [*vendors, Newcomers(crowd, world, chance.getrandbits(64))]
        self.died: list[str] = []
        self.told: dict[str, int] = {}

    def play(self) -> bool:
        """Run everything; return True if every promise was kept."""
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
        self._keep_final_state(closed=closed)
        return self._report() and closed

    def _faults(self) -> None:
        while self.journal.now() < self.seconds:
            time.sleep(0.2)
            self._look_after_processes()
            if self.nemesis.failure:
                raise self.nemesis.failure

    def _look_after_processes(self) -> None:
        """Start again what ended by itself, as a platform does; the audit names it."""
        for name, process in self.system.applications.items():
            if process.returncode is not None and not self.nemesis.has_killed(name):
                self.died.append(f"{name} (exit code {process.returncode}){process.last_words()}")
                self.system.stack.restart(name)

    def _heal(self) -> None:
        """End the last fault; keep the load until it is served again."""
        self._say("healing")
        self.stop_faults.set()
        self.nemesis.join(HEAL_S)
        if self.nemesis.failure:
            raise self.nemesis.failure
        if self.nemesis.is_alive():
            raise StackError(f"The last fault was not healed within {HEAL_S:g} s.")
        healed = self.journal.now()
        self._until(lambda: self._served_since(healed), "nobody was served after the last fault")
        self._say("stopping the load")
        self.stop_load.set()
        for thread in self.load:
            thread.join(60)

    def _served_since(self, moment: float) -> bool:
        signs = (next_accepted(self.journal, moment), self.rows.next_after(moment), self.kafka.next_after(moment))
        return None not in signs

    def _drain(self) -> bool:
        """Wait until nothing is in transit."""
        self._say("waiting until everything that was accepted has arrived")
        return self._until(self._nothing_waits, "what was accepted did not arrive")

    def _nothing_waits(self) -> bool:
        self._look_after_processes()
        waiting = self._waiting()
        if waiting != self.told:
            self.told = waiting
            self._say(
                "  " + (", ".join(f"{what} {count}" for what, count in waiting.items() if count) or "nothing waits")
            )
        return not any(waiting.values())

    def _waiting(self) -> dict[str, int]:
        """Return what is in transit, by kind."""
        try:
            return {
                "outbox": OutboxMessage.objects.count(),
                "lag": topics.lag(),
                "e-mails": Envio.objects.filter(estado__in=Envio.ABIERTOS).count(),
                "notices": Aviso.objects.filter(estado=Aviso.Estado.ABIERTO).count(),
            }
        except (KafkaUnavailable, DatabaseError, InterfaceError):
            connection.close()
            return {"answers": 1}

    def _close_the_week(self) -> bool:
        """Close the week through the row of Celery Beat's schedule, as on Mondays."""
        self._say("Celery Beat closes the week")
        due = ReporteSemanal.objects.exclude(envio=ReporteSemanal.EstadoCorreo.ENVIADO)
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

    def _keep_final_state(self, *, closed: bool) -> None:
        """Write down what is there at the end, for the checker."""
        mailbox = self.system.stack.mailbox.folder
        state.dump(self.system.environment["DATABASE_URL"], mailbox, self.folder / STATE, closed=closed)

    def _report(self) -> bool:
        found = self._recoveries()
        acts = self.nemesis.topics
        checks = Audit(self.system, self.journal, self.nemesis.faults, acts, self.kafka).checks(self.died)
        for part in (report.table(found), report.by_fault(found), report.changes(acts), report.verdict(checks)):
            self.console.print(part)
        findings = check_folder(self.folder)
        facts: dict[str, object] = {key: str(value) for key, value in vars(self.options).items()}
        facts["findings"] = [str(finding) for finding in findings]
        report.plot(self.folder / "chaos.svg", self.journal, self.nemesis.faults)
        self._say(f"written to {report.write(self.folder, facts, found, acts, checks)} and chaos.svg beside it")
        self.console.print(in_words(findings), markup=False, highlight=False, soft_wrap=True)
        broken = sum(not check.ok for check in checks) + len({finding.promise for finding in findings})
        text, style = (
            (f"{broken} promises broken", "bold red") if broken else ("Nothing lost, nothing doubled.", "bold green")
        )
        self.console.print(text, style=style)
        return not broken

    def _recoveries(self) -> list[Recovery]:
        return recoveries(self.nemesis.faults, self.journal, self.kafka, self.rows)

    @contextmanager
    def _shown(self) -> Iterator[None]:
        """Show the live screen on a terminal, else one line per fault."""
        if not self.console.is_terminal:
            self.nemesis.on_fault = lambda fault: self._say(f"{fault.began:6.1f} s  {fault.name}: {fault.target}")
            yield
            return

        def draw() -> Any:
            return report.picture(
                self.journal, self._recoveries(), "Faults under load", self.seconds - self.journal.now()
            )

        with Live(get_renderable=draw, console=self.console, refresh_per_second=1):
            yield

    def _say(self, text: str) -> None:
        self.console.print(f"  {text}", markup=False, highlight=False, soft_wrap=True)
