"""A rolling upgrade: yesterday's processes, today's `prepare`, both versions, today's processes.

All the time people enrol, sell, take back, run out and read. No request fails, and the checker
compares journal and rows at the end.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from django.db import connection
from rich.console import Console

from deploy.embedded import StackError
from deploy.embedded.ports import HOST, free_port
from deploy.embedded.processes import Process
from deploy.embedded.waiting import wait_until
from mamochi_site.local import system as today
from mamochi_site.local.demo.audit import Check
from mamochi_site.local.system import WEB, System, web_is_ready
from tests.chaos import report
from tests.chaos.checker.__main__ import in_words
from tests.chaos.checker.check import check_folder
from tests.chaos.mutations.bugs import Scenario
from tests.chaos.mutations.short_run import ShortRun

VENDORS: Final = 8
BEAT: Final = "celery-beat"
STEP_S: Final = 60.0
STOP_S: Final = 30.0
# What must arrive before the next step. Consumers have a part in each, the relay in the last two.
WORK: Final = {
    "SELECT count(*) FROM ventas_venta": 10,
    "SELECT count(*) FROM inscripciones_maestro": 1,
    "SELECT count(*) FROM stock_movimiento WHERE tipo = 'reposicion'": 1,
}
# To a sale that is accepted and not yet written 404 is right: the client asks again.
ANSWERS: Final = {202, 404}

_COMMANDS: Final = """
import json, sys
from mamochi_site.local.system import application_processes
print(json.dumps(application_processes(int(sys.argv[1]), 1)))
"""


class Yesterday:
    """The processes of yesterday's code, started as that code says, with today's settings."""

    def __init__(self, system: System, tree: Path) -> None:
        self.system, self.tree = system, tree
        self.port = free_port()
        done = subprocess.run(
            [sys.executable, "-c", _COMMANDS, str(self.port)], cwd=tree, check=True, capture_output=True, text=True
        )
        self.commands: dict[str, list[str]] = json.loads(done.stdout)
        self.ended: dict[str, int | None] = {}

    def start(self) -> None:
        """Let yesterday's code make tables and topics, and start all processes."""
        self._run("prepare", today.manage("prepare")).wait(today.PREPARE_TIMEOUT_S)
        for name, argv in self.commands.items():
            self._run(name, argv)
        self.process(WEB).wait_ready(lambda: web_is_ready(f"{HOST}:{self.port}"), today.READY_TIMEOUT_S)

    def _run(self, name: str, argv: list[str]) -> Process:
        folder = self.system.stack.folder / "metrics" / f"{name}-before"
        folder.mkdir(parents=True)
        environment = self.system.environment | {"PROMETHEUS_MULTIPROC_DIR": str(folder)}
        return self.system.stack.run(f"{name}-before", argv, cwd=self.tree, env=environment)

    def process(self, name: str) -> Process:
        return self.system.stack.processes[f"{name}-before"]

    def stop(self, name: str) -> None:
        """Stop a process as a platform does, and note its exit code."""
        process = self.process(name)
        died = process.returncode
        process.stop(STOP_S)
        self.ended[name] = process.returncode if died is None else died


class Rolling(ShortRun):
    """A run of which the faults are the steps of an upgrade."""

    def __init__(self, system: System, options: argparse.Namespace, console: Console, tree: Path) -> None:
        super().__init__(system, options, console, Scenario(0, closes=True))
        self.yesterday = Yesterday(system, tree)
        self.load = [*self.vendors[:VENDORS], *self.newcomers]
        self._send_everybody_to(f"{HOST}:{self.yesterday.port}")

    def _send_everybody_to(self, *webs: str) -> None:
        """Share the clients among the webs, as a load balancer does."""
        for number, someone in enumerate(self.load):
            someone.api.netloc = webs[number % len(webs)]

    def play(self) -> bool:
        """Start yesterday's version and run everything; return True if every promise was kept."""
        self.yesterday.start()
        return super().play()

    def _faults(self) -> None:
        """Upgrade, step by step."""
        self._wait_for_work("yesterday's version")
        forks = today.load(self.system)
        today.prepare(self.system, forks)
        self._wait_for_work("yesterday's version on today's database")
        for name in self.system.commands.keys() - {BEAT}:
            today.start(self.system, name, forks)
        today.wait_ready(self.system)
        metrics: dict[str, str] = self.system.stack.extra["metrics"]
        for name, url in metrics.items():
            self._wait(partial(web_is_ready, urlsplit(url).netloc), f"today's {name} is ready")
        new = urlsplit(self.system.url).netloc
        self._send_everybody_to(new, f"{HOST}:{self.yesterday.port}")
        self._wait_for_work("both versions")
        self._send_everybody_to(new)
        for name in self.yesterday.commands:
            self.yesterday.stop(name)
            self._say(f"yesterday's {name} has left")
        today.start(self.system, BEAT, forks)
        self._wait_for_work("today's version")

    def _wait_for_work(self, who: str) -> None:
        """Wait until more of everything has arrived. Raises StackError."""
        before = self._counts()
        self._wait(
            lambda: all(
                now - then >= more for now, then, more in zip(self._counts(), before, WORK.values(), strict=True)
            ),
            f"{who} works",
        )

    def _counts(self) -> list[int]:
        with connection.cursor() as cursor:
            return [cursor.execute(sql).fetchone()[0] for sql in WORK]

    def _wait(self, condition: Callable[[], bool], what: str) -> None:
        began = self.journal.now()
        try:
            wait_until(condition, STEP_S, interval=0.5)
        except TimeoutError:
            raise StackError(f"Not within {STEP_S:g} s: {what}; see {self.system.logs}.") from None
        self._say(f"{what} ({self.journal.now() - began:.1f} s)")

    def _report(self) -> bool:
        statuses = {entry.status for entry in self.journal.entries}
        with connection.cursor() as cursor:
            letters = cursor.execute("SELECT consumer, reason, error FROM kafka_bridge_deadletter").fetchall()
        checks = [
            Check(
                "exit codes of yesterday's processes", dict.fromkeys(self.yesterday.commands, 0), self.yesterday.ended
            ),
            Check("today's processes that ended by themselves", [], self.died),
            Check("answers to what people wanted, other than 202 and 404", set(), statuses - ANSWERS),
            Check("dead letters", [], letters),
        ]
        findings = check_folder(self.folder)
        self.console.print(report.verdict(checks))
        self.console.print(in_words(findings), markup=False, highlight=False, soft_wrap=True)
        self._say(f"{len(self.journal.entries)} requests, {len(self.journal.reads)} looks, {self.journal.now():.0f} s")
        return all(check.ok for check in checks) and not findings
