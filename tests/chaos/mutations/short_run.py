"""A short run: the load of ./dev chaos with one scenario's faults, and no report."""

import argparse
import time
from collections.abc import Callable
from dataclasses import replace

from django.utils import timezone
from rich.console import Console

from deploy.embedded.waiting import wait_until
from mamochi_site.local.demo.week import closing_now
from mamochi_site.local.system import System
from tests.chaos.checker.history import VENTA
from tests.chaos.faults.plan import Plan
from tests.chaos.load import Newcomers, Request, Vendor
from tests.chaos.mutations.bugs import Scenario
from tests.chaos.nemesis import Nemesis
from tests.chaos.run import Run
from ventas.models import ReporteSemanal
from ventas.semanas.cierre import GRACE

VENDORS = 12
DRAIN_S = 45.0
# Beat looks at its schedule every 5 s, and the worker closes a week in less than one.
FROZEN_S = 15.0
CLOSER = "consumer-contabilidad"


class ChosenFaults(Nemesis):
    """The scenario's faults, one after the other, and no acts on topics."""

    scenario: Scenario

    def _round(self) -> list[Plan]:
        chosen = [plan for plan in self.plans() if plan.name in self.scenario.faults]
        if not chosen:
            self.stop.wait()
        return [replace(plan, hold=self.scenario.hold) for plan in self.chance.sample(chosen, len(chosen))]


class ShortRun(Run):
    """A run of a scenario; it leaves journal and final state, and says nothing about them."""

    def __init__(self, system: System, options: argparse.Namespace, console: Console, scenario: Scenario) -> None:
        super().__init__(system, options, console)
        self.scenario = scenario
        gate = self.nemesis.topics.gate
        self.nemesis = ChosenFaults(self.nemesis.context, gate, self.stop_faults, self.journal.now)
        self.nemesis.scenario = scenario
        self.vendors = [one for one in self.load if isinstance(one, Vendor)][:VENDORS]
        self.newcomers = [one for one in self.load if isinstance(one, Newcomers)]
        for vendor in self.vendors:
            vendor.reading, vendor.haste = scenario.reading, scenario.haste
        self.load = [*self.vendors]

    def _close_the_week(self) -> bool:
        """Close the week at a boundary just after the last sale, if the scenario closes it."""
        if not self.scenario.closes:
            return True
        if self.scenario.late_sale:
            self._sell_late()
        boundary = timezone.now()
        time.sleep(GRACE.total_seconds())  # a boundary that is not so long ago closes no week yet
        if self.scenario.late_sale:
            with closing_now(boundary):
                self._until(ReporteSemanal.objects.exists, "the week waits for the late sale", FROZEN_S)
            self.system.stack.processes[CLOSER].resume()
        due = ReporteSemanal.objects.exclude(envio=ReporteSemanal.EstadoCorreo.ENVIADO)
        with closing_now(boundary):
            return self._until(
                lambda: ReporteSemanal.objects.exists() and not due.exists(), "the weekly e-mails were not sent"
            )

    def _sell_late(self) -> None:
        """Let a maestro sell once more while the consumer that counts sales is frozen."""
        self.system.stack.processes[CLOSER].pause()
        vendor = next(one for one in self.vendors if one.sold)
        id_ = vendor.uuid()
        sale = {"id": id_, "producto": "mediano", "cantidad": 1}
        vendor.ask(Request(VENTA, "ventas/", sale, (id_,), [["mediano", 1]]))

    def _until(self, condition: Callable[[], bool], otherwise: str, seconds: float = DRAIN_S) -> bool:
        try:
            return wait_until(condition, seconds, interval=0.5)
        except TimeoutError:
            self._say(f"{otherwise} within {seconds:g} s")
            return False

    def _keep_final_state(self, *, closed: bool) -> None:
        super()._keep_final_state(closed=closed and self.scenario.closes)

    def _report(self) -> bool:
        """Leave the judgement to the program that planted the bug."""
        return True
