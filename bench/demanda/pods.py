"""Pods: processes of contabilidad, each with a limit of CPU of its own.

They are forks of a program that has loaded the application, so a pod's start is what it does once
it is loaded, at its limit's speed: it connects and joins the group.
"""

import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import psutil

from bench.demanda.limits import Limit
from deploy.forks.orders import Forks, command
from deploy.forks.parent import die_with
from mamochi_site.local.system import CHECKOUT, OWN_VARIABLES, manage
from ventas.libro import CONTABILIDAD

LOADED: Final = "mamochi_site.local.loaded"
END_SECONDS: Final = 60.0  # what an operator allows, too
MEGABYTE: Final = 1_048_576


class Pod:
    """One process and its limit."""

    def __init__(self, forks: Forks, number: int, cores: float, log: Path) -> None:
        self.limit = Limit(f"mamochi-pod-{os.getpid()}-{number}", cores)
        argv = manage("run_consumer", CONTABILIDAD)
        try:
            self.fork = forks.order(f"pod-{number}", argv, cwd=CHECKOUT, env=os.environ, log=log)
            self.limit.add(self.fork.pid)
        except OSError:
            self.limit.remove()
            raise
        self.cpu = 0.0
        self.megabytes = 0.0

    def look(self) -> bool:
        """Note what the process has used so far; return whether it still runs."""
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(self.fork.pid)
            times = process.cpu_times()
            self.cpu = float(times.user + times.system)
            self.megabytes = process.memory_info().rss / MEGABYTE
        return self.fork.poll() is None


class Pods:
    """Those that run, those that are about to end, and what all have used."""

    def __init__(self, forks: Forks, cores: float, logs: Path) -> None:
        self._forks, self._cores, self._logs = forks, cores, logs
        self._running: list[Pod] = []
        self._ending: list[Pod] = []
        self._ended_cpu = 0.0
        self._started = 0

    def scale(self, count: int) -> None:
        """Start or end pods until so many run, the youngest first; return at once."""
        while len(self._running) < count:
            self._started += 1
            log = self._logs / f"pod-{self._started}.log"
            self._running.append(Pod(self._forks, self._started, self._cores, log))
        while len(self._running) > count:
            pod = self._running.pop()
            pod.fork.send_signal(signal.SIGTERM)
            self._ending.append(pod)

    def look(self) -> None:
        """Note what each pod has used. Raises RuntimeError if one has ended by itself."""
        for pod in self._running:
            if not pod.look():
                raise RuntimeError("a pod has ended: " + self._last_words())
        for pod in [pod for pod in self._ending if not pod.look()]:
            self._ended_cpu += pod.cpu
            pod.limit.remove()
            self._ending.remove(pod)

    @property
    def wanted(self) -> int:
        """Return how many were last asked for."""
        return len(self._running)

    @property
    def paid(self) -> int:
        """Return how many processes there are, those about to end included."""
        return len(self._running) + len(self._ending)

    @property
    def cpu(self) -> float:
        """Return the seconds of CPU of all pods so far, also of those that have ended."""
        return self._ended_cpu + sum(pod.cpu for pod in (*self._running, *self._ending))

    @property
    def megabytes(self) -> float:
        """Return the resident memory: pods of Kubernetes share no pages, as forks do."""
        return sum(pod.megabytes for pod in (*self._running, *self._ending))

    def end(self) -> None:
        """End all and remove their limits."""
        self.scale(0)
        for pod in self._ending:
            try:
                pod.fork.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                pod.fork.send_signal(signal.SIGKILL)
                pod.fork.wait(END_SECONDS)
        self.look()

    def _last_words(self) -> str:
        newest = max(self._logs.glob("pod-*.log"), key=lambda log: log.stat().st_mtime)
        return newest.read_text()[-1_000:]


@contextmanager
def loaded() -> Iterator[Forks]:
    """Load the application in a program that forks pods; in the end it and its forks have ended."""
    forks, own = Forks(os.environ, OWN_VARIABLES), os.getpid()
    with subprocess.Popen(
        command(LOADED),
        cwd=CHECKOUT,
        stdin=forks.program_end.fileno(),
        preexec_fn=lambda: die_with(own),  # noqa: PLW1509 - it calls prctl; no thread can hold a lock of that
    ) as program:
        forks.program_end.close()
        try:
            yield forks
        finally:
            program.terminate()


@contextmanager
def pods(forks: Forks, cores: float) -> Iterator[Pods]:
    """Have pods with this limit in the block, none at first."""
    with tempfile.TemporaryDirectory(prefix="mamochi-pods-") as folder:
        some = Pods(forks, cores, Path(folder))
        try:
            yield some
        finally:
            some.end()
