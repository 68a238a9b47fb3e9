"""Child processes that end with the stack, even if the stack is killed with kill -9."""

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypedDict

import psutil

from deploy.embedded.errors import StackError
from deploy.embedded.hosts import HostOf, all_on_loopback
from deploy.embedded.priority import go_behind
from deploy.forks import orders
from deploy.forks.orders import Fork, Forks
from deploy.forks.parent import die_with

# In every child's environment, so that the next run can find the children of this one.
RUN_ID_VARIABLE = "MAMOCHI_STACK"
# Two readings of one start time may differ: it is computed from the boot time, which changes when
# the clock is set.
START_TIME_TOLERANCE_S = 2.0

# Linux sends the parent-death signal when the forking *thread* ends, so one thread, which lives as
# long as the interpreter, forks all children.
_spawner = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spawner")


class ProcessRecord(TypedDict):
    """The entry of a process in stack.json.

    Pid and start time (seconds since the epoch) identify the process.
    """

    pid: int
    started: float
    log: str


@dataclass
class Process:
    """A child process, whose output goes to a log file.

    The child has its own session, so that Ctrl-C reaches only the parent. With `forks` it is a fork
    of a loaded program, and `argv` a command line of Python; but if `env` has changed meanwhile,
    what the program loaded may be wrong for it, and it is started by itself. `niceness` (0 to 19):
    how far it goes behind the others where the cores are full.
    """

    name: str
    argv: Sequence[str]
    log: Path
    cwd: Path
    env: Mapping[str, str]
    stop_signal: signal.Signals = signal.SIGTERM
    forks: Forks | None = None
    niceness: int = 0
    stdin: int = subprocess.DEVNULL
    started: float = 0.0
    _popen: subprocess.Popen[bytes] | Fork | None = field(default=None, repr=False)

    def spawn(self) -> None:
        """Start the process, or start it again. Raises StackError if the program cannot be run."""
        try:
            if self.forks and self.forks.may_run(self.env):
                self._popen = self.forks.order(self.name, self.argv, cwd=self.cwd, env=self.env, log=self.log)
            else:
                self._popen = _spawner.submit(self._execute).result()
        except OSError as error:
            raise StackError(f"{self.name} cannot be started: {error}.") from error
        if self.niceness:
            go_behind(self.pid, self.niceness)
        with contextlib.suppress(psutil.NoSuchProcess):
            self.started = psutil.Process(self.pid).create_time()

    def _execute(self) -> subprocess.Popen[bytes]:
        parent = os.getpid()
        with self.log.open("ab") as log:
            return subprocess.Popen(
                self.argv,
                stdin=self.stdin,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.cwd,
                env=dict(self.env),
                start_new_session=True,
                preexec_fn=lambda: die_with(parent),  # noqa: PLW1509 - it calls prctl; no thread can hold a lock of that
            )

    @property
    def pid(self) -> int:
        """Return the process id; after the end, that of the last run."""
        if self._popen is None:
            raise StackError(f"{self.name} was never started.")
        return self._popen.pid

    @property
    def running(self) -> bool:
        """Return True if the process is alive; one that is paused (SIGSTOP) is alive."""
        return self._popen is not None and self._popen.poll() is None

    @property
    def returncode(self) -> int | None:
        """Return the exit code; None while the process runs."""
        return self._popen.poll() if self._popen else None

    def record(self) -> ProcessRecord:
        """Return what the next run needs to recognise this process."""
        return {"pid": self.pid, "started": self.started, "log": str(self.log)}

    def tree(self) -> list[psutil.Process]:
        """Return this process and its descendants that are alive."""
        try:
            leader = psutil.Process(self.pid)
            return [leader, *leader.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def pause(self) -> None:
        """Send SIGSTOP to the whole tree; connections stay open and nothing answers."""
        _signal_all(self.tree(), signal.SIGSTOP)

    def resume(self) -> None:
        """Send SIGCONT to the whole tree, after `pause`."""
        _signal_all(self.tree(), signal.SIGCONT)

    def kill(self) -> None:
        """Send SIGKILL to the whole tree, like a crash, and wait until it has ended."""
        tree = self.tree() if self.running else []
        _signal_all(tree, signal.SIGKILL)
        self._reap()
        psutil.wait_procs(tree[1:], timeout=10)

    def ask_to_stop(self) -> None:
        """Send the stop signal, without waiting."""
        if self.running and self._popen is not None:
            self._popen.send_signal(self.stop_signal)
            # A paused process would not handle the stop signal.
            self._popen.send_signal(signal.SIGCONT)

    def stop(self, timeout: float = 10.0) -> None:
        """Send the stop signal, and SIGKILL to what is left of the tree after `timeout` seconds."""
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
        """Wait for a program that ends by itself.

        Raises StackError unless the program exits 0 within `timeout` seconds; a slower one is
        killed.
        """
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
        """Poll `ready()` until it is true.

        Raises StackError when the process ends first, or after `timeout` seconds.
        """
        deadline = time.monotonic() + timeout
        while not ready():
            if not self.running:
                raise StackError(f"{self.name} ended while starting{self.last_words()}.")
            if time.monotonic() >= deadline:
                raise StackError(f"{self.name} was not ready after {timeout:g} s{self.last_words()}.")
            time.sleep(0.05)

    def last_words(self) -> str:
        """Return the last line of the log and the log's path, to append to an error's sentence."""
        lines = self.log.read_text(errors="replace").split("\n") if self.log.exists() else []
        messages = [line.strip() for line in lines if line.strip() and not line.startswith(("\tat ", "  "))]
        return f" ({messages[-1][:300]}; see {self.log})" if messages else f" (see {self.log})"


def _signal_all(processes: Iterable[psutil.Process], sig: signal.Signals) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(sig)


class Supervisor:
    """The children of one run. Once closed, it refuses to start a process, in every thread.

    `own` returns variables that only the child of that name has.
    """

    def __init__(
        self,
        run_id: str,
        logs: Path,
        on_change: Callable[[], None],
        host_of: HostOf = all_on_loopback,
        own: Callable[[str], Mapping[str, str]] = lambda _: {},
    ) -> None:
        self.run_id = run_id
        self.host_of = host_of
        self.logs = logs
        self.own = own
        self.processes: dict[str, Process] = {}
        self.closed = False
        self._on_change = on_change
        self._lock = threading.RLock()

    def spawn(  # noqa: PLR0913 - each argument is an independent option with a default
        self,
        name: str,
        argv: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str] | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
        forks: Forks | None = None,
        niceness: int = 0,
    ) -> Process:
        """Start a child named `name` and record it. Raises StackError when the stack is stopping.

        `env` is its whole environment. The default is our own, with a locale that can decode every
        path.
        """
        process = self._process(name, argv, cwd=cwd, env=env, stop_signal=stop_signal, forks=forks, niceness=niceness)
        self.start(process)
        return process

    def load(self, name: str, module: str, *, cwd: Path, env: Mapping[str, str], own: Collection[str] = ()) -> Forks:
        """Start a program that imports the module, of which other children are forked.

        Their environment is the program's, but for their `own` variables. The program ends after
        them. Raises StackError when the stack is stopping.
        """
        forks = Forks({**env, RUN_ID_VARIABLE: self.run_id}, {*own, *self.own(name)})
        process = self._process(name, orders.command(module), cwd=cwd, env=env, stdin=forks.program_end.fileno())
        self.start(process)
        forks.program_end.close()
        return forks

    def _process(
        self, name: str, argv: Sequence[str], *, cwd: Path, env: Mapping[str, str] | None, **options: Any
    ) -> Process:
        inherited = {**os.environ, "LC_ALL": "C.UTF-8"} if env is None else env
        environment = {**inherited, **self.own(name), RUN_ID_VARIABLE: self.run_id}
        enter = self.host_of(name).enter
        if enter:
            options["forks"] = None  # a fork runs where the loaded program runs
        return Process(name, [*enter, *argv], self.logs / f"{name}.log", cwd, environment, **options)

    def start(self, process: Process) -> None:
        """Start a child, or start it again. Raises StackError when the stack is stopping."""
        with self._lock:
            if self.closed:
                raise StackError(f"{process.name} is not started: the stack is stopping.")
            process.spawn()
            self.processes[process.name] = process
        self._on_change()

    def close(self) -> None:
        """Forbid further starts."""
        with self._lock:
            self.closed = True

    def records(self) -> dict[str, ProcessRecord]:
        """Return the entries of the children that are alive, for stack.json."""
        with self._lock:
            return {name: process.record() for name, process in self.processes.items() if process.running}

    def stop_all(self, processes: Iterable[Process], timeout: float) -> None:
        """Ask all processes to stop at once, and kill those left after `timeout` seconds."""
        asked = list(processes)
        trees = [member for process in asked if process.running for member in process.tree()]
        for process in asked:
            process.ask_to_stop()
        psutil.wait_procs(trees, timeout=timeout)
        for process in asked:
            process.stop(timeout=0)
        _signal_all([member for member in trees if member.is_running()], signal.SIGKILL)


def leftovers(run_id: str, records: Mapping[str, ProcessRecord]) -> list[psutil.Process]:
    """Return the processes of an earlier run that are still alive.

    These are the recorded processes and those with the run's id in their environment. A recorded
    pid may belong to another program by now, so the start time must match too.
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
