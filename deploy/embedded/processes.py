"""Child processes that never outlive the stack, also when it is killed with -9."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypedDict

import psutil

from deploy.embedded.errors import StackError

RUN_ID_VARIABLE = "MAMOCHI_STACK"  # in every child's environment: what it belongs to, for the next run
START_TIME_TOLERANCE_S = 2.0  # the boot time that start times are computed from moves with the clock
PR_SET_PDEATHSIG = 1

# Linux sends the parent-death signal when the *thread* that forked ends, so children are forked by one thread
# that lives as long as the interpreter.
_spawner = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spawner")
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


class ProcessRecord(TypedDict):
    """What stack.json keeps of a process; pid and start time (seconds since the epoch) identify it."""

    pid: int
    started: float
    log: str


def _die_with_parent(parent: int) -> Callable[[], None] | None:
    """What a child runs between fork and exec; None where the system has no parent-death signal."""
    if _libc is None:
        return None
    libc = _libc

    def ask_for_signal() -> None:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before we asked
            os._exit(1)

    return ask_for_signal


@dataclass
class Process:
    """One child: its own session, so that Ctrl-C reaches only the parent; output in a log file."""

    name: str
    argv: Sequence[str]
    log: Path
    cwd: Path
    env: Mapping[str, str]
    stop_signal: signal.Signals = signal.SIGTERM
    started: float = 0.0
    _popen: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def spawn(self) -> None:
        """Start it (again). Raises StackError where the program cannot be run."""
        try:
            self._popen = _spawner.submit(self._fork).result()
        except OSError as error:
            raise StackError(f"{self.name} cannot be started: {error}.") from error
        with contextlib.suppress(psutil.NoSuchProcess):
            self.started = psutil.Process(self.pid).create_time()

    def _fork(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            return subprocess.Popen(
                self.argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.cwd,
                env=dict(self.env),
                start_new_session=True,
                preexec_fn=_die_with_parent(os.getpid()),  # noqa: PLW1509 - calls nothing that takes a lock
            )

    @property
    def pid(self) -> int:
        """The process id; of the last run when it has ended."""
        if self._popen is None:
            raise StackError(f"{self.name} was never started.")
        return self._popen.pid

    @property
    def running(self) -> bool:
        """Whether it is alive (a stopped process, SIGSTOP, is)."""
        return self._popen is not None and self._popen.poll() is None

    @property
    def returncode(self) -> int | None:
        """How it ended; None while it runs."""
        return self._popen.poll() if self._popen else None

    def record(self) -> ProcessRecord:
        """What the next run needs to recognise it."""
        return {"pid": self.pid, "started": self.started, "log": str(self.log)}

    def tree(self) -> list[psutil.Process]:
        """Itself and its descendants, as far as they are alive."""
        try:
            leader = psutil.Process(self.pid)
            return [leader, *leader.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def pause(self) -> None:
        """SIGSTOP to the whole tree: it hangs, and its connections stay open."""
        _signal_all(self.tree(), signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT after `pause`."""
        _signal_all(self.tree(), signal.SIGCONT)

    def kill(self) -> None:
        """SIGKILL to the whole tree, as a crash would; returns when it is gone."""
        tree = self.tree() if self.running else []
        _signal_all(tree, signal.SIGKILL)
        self._reap()
        psutil.wait_procs(tree[1:], timeout=10)

    def ask_to_stop(self) -> None:
        """Its stop signal, without waiting."""
        if self.running and self._popen is not None:
            self._popen.send_signal(self.stop_signal)
            self._popen.send_signal(signal.SIGCONT)  # a paused one would never hear it

    def stop(self, timeout: float = 10.0) -> None:
        """Its stop signal, and SIGKILL to what is left of its tree after `timeout` seconds."""
        tree = self.tree() if self.running else []
        self.ask_to_stop()
        _, alive = psutil.wait_procs(tree, timeout=timeout)
        _signal_all(alive, signal.SIGKILL)
        self._reap()
        psutil.wait_procs(alive, timeout=10)

    def _reap(self) -> None:
        if self._popen is not None:
            self._popen.wait()

    def wait(self, timeout: float) -> None:
        """Wait for a program that ends by itself. Raises StackError unless it exits 0 in time."""
        if self._popen is None:
            raise StackError(f"{self.name} was never started.")
        try:
            code = self._popen.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise StackError(f"{self.name} did not end within {timeout:g} s; see {self.log}.") from None
        if code != 0:
            raise StackError(f"{self.name} failed{self.last_words()}.")

    def wait_ready(self, ready: Callable[[], bool], timeout: float) -> None:
        """Poll `ready()` until it is true. Raises StackError when it dies first or time is up."""
        deadline = time.monotonic() + timeout
        while not ready():
            if not self.running:
                raise StackError(f"{self.name} ended while starting{self.last_words()}.")
            if time.monotonic() >= deadline:
                raise StackError(f"{self.name} was not ready after {timeout:g} s{self.last_words()}.")
            time.sleep(0.05)

    def last_words(self) -> str:
        """The end of its log and where to read the rest, to append to an error's sentence."""
        lines = self.log.read_text(errors="replace").split("\n") if self.log.exists() else []
        told = [line.strip() for line in lines if line.strip() and not line.startswith(("\tat ", "  "))]
        return f" ({told[-1][:300]}; see {self.log})" if told else f" (see {self.log})"


def _signal_all(processes: Iterable[psutil.Process], sig: signal.Signals) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(sig)


class Supervisor:
    """All children of one run. Once closed it starts nothing more, whichever thread asks."""

    def __init__(self, run_id: str, logs: Path, on_change: Callable[[], None]) -> None:
        self.run_id = run_id
        self.logs = logs
        self.processes: dict[str, Process] = {}
        self.closed = False
        self._on_change = on_change
        self._lock = threading.RLock()

    def spawn(
        self,
        name: str,
        argv: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str] | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
    ) -> Process:
        """Start a child named `name` and remember it. Raises StackError when the stack is stopping.

        `env` is its whole environment; without one it gets ours, with a locale that reads every path.
        """
        inherited = {**os.environ, "LC_ALL": "C.UTF-8"} if env is None else env
        environment = {**inherited, RUN_ID_VARIABLE: self.run_id}
        process = Process(name, argv, self.logs / f"{name}.log", cwd, environment, stop_signal)
        self.start(process)
        return process

    def start(self, process: Process) -> None:
        """Start a child again, under its old name."""
        with self._lock:
            if self.closed:
                raise StackError(f"{process.name} is not started: the stack is stopping.")
            process.spawn()
            self.processes[process.name] = process
        self._on_change()

    def close(self) -> None:
        """From now on nothing is started."""
        with self._lock:
            self.closed = True

    def records(self) -> dict[str, ProcessRecord]:
        """The living children, for stack.json."""
        with self._lock:
            return {name: process.record() for name, process in self.processes.items() if process.running}

    def stop_all(self, processes: Iterable[Process], timeout: float) -> None:
        """Ask all of them at once, then wait for each; `timeout` seconds of grace altogether."""
        asked = list(processes)
        trees = [member for process in asked if process.running for member in process.tree()]
        for process in asked:
            process.ask_to_stop()
        psutil.wait_procs(trees, timeout=timeout)
        for process in asked:
            process.stop(timeout=0)
        _signal_all([member for member in trees if member.is_running()], signal.SIGKILL)


def leftovers(run_id: str, records: Mapping[str, ProcessRecord]) -> list[psutil.Process]:
    """What still runs of an earlier run: recorded processes, and those that carry its id in their environment.

    A pid alone proves nothing, it may be a stranger's by now: the start time must fit as well.
    """
    recorded = {record["pid"]: record["started"] for record in records.values()}
    own = {process.pid for process in psutil.Process().parents()} | {os.getpid()}
    return [
        process
        for process in psutil.process_iter()
        if process.pid not in own and (_is_recorded(process, recorded) or _carries(process, run_id))
    ]


def _is_recorded(process: psutil.Process, recorded: Mapping[int, float]) -> bool:
    try:
        started = recorded.get(process.pid)
        return started is not None and abs(process.create_time() - started) < START_TIME_TOLERANCE_S
    except psutil.Error:
        return False


def _carries(process: psutil.Process, run_id: str) -> bool:
    try:
        return process.environ().get(RUN_ID_VARIABLE) == run_id
    except (psutil.Error, OSError):
        return False


def end(processes: Sequence[psutil.Process], timeout: float = 10.0) -> None:
    """Stop processes that are not our children: SIGTERM, and SIGKILL after `timeout` seconds."""
    _signal_all(processes, signal.SIGTERM)
    _signal_all(processes, signal.SIGCONT)
    _, alive = psutil.wait_procs(processes, timeout=timeout)
    _signal_all(alive, signal.SIGKILL)
    psutil.wait_procs(alive, timeout=timeout)
