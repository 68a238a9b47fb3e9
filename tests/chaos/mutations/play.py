"""Play one scenario on the tree in which this file is, and leave journal and final state.

`__main__.py` starts it in copies: python -m tests.chaos.mutations.play SCENARIO --dir FOLDER
"""

import argparse
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

import django
from rich.console import Console

from deploy.embedded import Stack
from deploy.embedded.signals import interrupt_on_termination
from mamochi_site.local.system import System, running_system
from tests.chaos.mutations.bugs import SCENARIOS, Scenario

if TYPE_CHECKING:
    from tests.chaos.run import Run

SETTINGS: Final = {"REVISION_AUTOMATICA": "true", "LIMITE_INSCRIPCIONES": "", "LOG_LEVEL": "INFO"}
VENDORS: Final = 12
SEED: Final = 39


def main() -> int:
    """Play the scenario; exit code 1 if what was accepted did not arrive, or a week did not close."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scenario", choices=SCENARIOS)
    parser.add_argument("--dir", type=Path, required=True, help="its folder; old data in it is removed")
    parser.add_argument("--port", type=int, default=18_400, help="the web's, or the next free one")
    parser.add_argument("--seed", type=int, default=SEED)
    options = parser.parse_args()
    scenario = SCENARIOS[options.scenario]
    options.minutes = scenario.seconds / 60
    interrupt_on_termination()
    console = Console(width=140)
    stack = Stack(options.dir, brokers=1, durable=False, fresh=True, say=console.print, environ={})
    with running_system(stack, port=options.port, settings=SETTINGS) as system:
        os.environ.update(system.environment)
        django.setup()
        return 0 if short_run(system, scenario, options, console).play() else 1


def short_run(system: System, scenario: Scenario, options: argparse.Namespace, console: Console) -> "Run":
    """Return a run with the scenario's faults, fewer maestros, and no report."""
    from tests.chaos.nemesis import Nemesis, Plan
    from tests.chaos.run import Run

    class ChosenFaults(Nemesis):
        """Only the scenario's faults, and no acts on topics."""

        def _round(self) -> list[Plan]:
            chosen = [plan for plan in self.plans() if plan.name in scenario.faults]
            if not chosen:
                self.stop.wait()
            return [replace(plan, hold=scenario.hold) for plan in self.chance.sample(chosen, len(chosen))]

    return Run(system, options, console)
