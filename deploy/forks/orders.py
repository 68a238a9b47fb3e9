"""Order processes from a loaded program, and learn how they end."""

import json
import os
import select
import socket
import sys
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from subprocess import TimeoutExpired
from typing import Any

# A fork takes 20 ms; loading before the first one some seconds, on a busy machine many.
FORK_TIMEOUT_S = 120.0
LARGEST_REPORT = 1_024


def command(module: str) -> list[str]:
    """Return the command line of a program that loads the module."""
    return [sys.executable, "-m", "deploy.forks.program", module]


class Forks:
    """The forks of one loaded program. Several threads may use it.

    `env` is the program's environment, which the loaded module may have read. A fork has the same,
    but for the variables that are each process's `own`.

    `program_end` is the program's end of the socket: its standard input, closed here afterwards.
    """

    def __init__(self, env: Mapping[str, str], own: Collection[str] = ()) -> None:
        self._own = frozenset(own)
        self._shared = self._without_own(env)
        self._channel, self.program_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._lock = threading.Lock()
        self._codes: dict[int, int | None] = {}  # exit codes by pid; None while the fork runs
        self._ended = False

    def _without_own(self, env: Mapping[str, str]) -> dict[str, str]:
        return {variable: value for variable, value in env.items() if variable not in self._own}

    def may_run(self, env: Mapping[str, str]) -> bool:
        """Return whether a process with this environment may be a fork."""
        return self._without_own(env) == self._shared

    def order(self, name: str, argv: Sequence[str], *, cwd: Path, env: Mapping[str, str], log: Path) -> "Fork":
        """Start a process whose command line is one of Python's.

        Raises OSError if the program has ended, or does not fork in time.
        """
        log.touch()
        order = {"name": name, "argv": list(argv), "cwd": str(cwd), "env": dict(env), "log": str(log)}
        deadline = time.monotonic() + FORK_TIMEOUT_S
        with self._lock:
            with suppress(BrokenPipeError, ConnectionResetError):  # the loop finds that it has ended
                self._channel.send(json.dumps(order).encode())
            while not (forked := self._receive(deadline - time.monotonic()).get("forked")):
                if self._ended or time.monotonic() > deadline:
                    raise OSError(f"the program that forks it {'has ended' if self._ended else 'does not answer'}")
            self._codes[forked] = None
        return Fork(self, forked)

    def code(self, pid: int, wait_seconds: float = 0.0) -> int | None:
        """Return the exit code of a fork; None if it still runs after `wait_seconds`."""
        deadline = time.monotonic() + wait_seconds
        while True:
            with self._lock:
                while self._codes[pid] is None and self._receive(0.0):
                    pass
                if (code := self._codes[pid]) is not None or time.monotonic() >= deadline:
                    return code
            # Not a wait for the socket: another thread may read the message of this fork's end.
            time.sleep(0.02)

    def _receive(self, seconds: float) -> dict[str, Any]:
        """Return the next message, of which ends are noted; empty if none comes in time."""
        if self._ended or not select.select([self._channel], [], [], max(0.0, seconds))[0]:
            return {}
        packet = b""
        with suppress(ConnectionResetError):
            packet = self._channel.recv(LARGEST_REPORT)
        if not packet:
            self._ended = True
            # Its forks have ended with it (parent.py).
            self._codes = {pid: -9 if code is None else code for pid, code in self._codes.items()}
            return {}
        message: dict[str, Any] = json.loads(packet)
        if "ended" in message:
            self._codes[message["ended"]] = message["code"]
        return message


class Fork:
    """A forked process, with the methods of subprocess.Popen that are needed."""

    def __init__(self, forks: Forks, pid: int) -> None:
        self._forks = forks
        self.pid = pid

    def poll(self) -> int | None:
        """Return the exit code; None while the process runs."""
        return self._forks.code(self.pid)

    def wait(self, timeout: float | None = None) -> int:
        """Wait until the process has ended. Raises TimeoutExpired."""
        code = self._forks.code(self.pid, float("inf") if timeout is None else timeout)
        if code is None:
            raise TimeoutExpired(f"process {self.pid}", timeout or 0.0)
        return code

    def send_signal(self, sig: int) -> None:
        """Send a signal, unless the process has ended."""
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, sig)
