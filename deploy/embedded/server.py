"""The base class of the stack's servers."""

import signal
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

from deploy.embedded.hosts import LOOPBACK, Host
from deploy.embedded.processes import Process, Supervisor


class Server(ABC):
    """A server process that keeps its port, data and log when it is killed and restarted."""

    # Seconds. An idle machine needs far less.
    start_timeout = 60.0
    stop_timeout = 20.0

    def __init__(self, process_name: str, host: Host = LOOPBACK) -> None:
        self.process_name = process_name
        self.host = host
        self._process: Process | None = None
        self._supervisor: Supervisor | None = None

    @property
    def process(self) -> Process:
        """Return the process; while the server is down, the last one."""
        if self._process is None:
            raise RuntimeError(f"{self.process_name} was never started")
        return self._process

    def launch(
        self,
        supervisor: Supervisor,
        argv: Sequence[str],
        cwd: Path,
        stop_signal: signal.Signals = signal.SIGTERM,
    ) -> None:
        """Start the process, without waiting until it answers."""
        self._supervisor = supervisor
        self._process = supervisor.spawn(self.process_name, argv, cwd=cwd, stop_signal=stop_signal)

    @abstractmethod
    def ready(self) -> bool:
        """Return True if the server answers a client; False, not an error, if it does not."""

    def wait_ready(self) -> None:
        """Wait for `ready`. Raises StackError when the process ends first or takes too long."""
        self.process.wait_ready(self.ready, self.start_timeout)

    def kill(self) -> None:
        """Send SIGKILL to the process and its children, like a crash, and wait for their end."""
        self.process.kill()

    def pause(self) -> None:
        """Send SIGSTOP; connections stay open and nothing answers."""
        self.process.pause()

    def resume(self) -> None:
        """Send SIGCONT, after `pause`."""
        self.process.resume()

    def stop(self) -> None:
        """Shut down cleanly."""
        self.process.stop(timeout=self.stop_timeout)

    def restart(self, *, wait: bool = True) -> None:
        """Kill the server if it runs, and start it again on its port and data.

        With `wait`, return when the server is ready.
        """
        if self._supervisor is None:
            raise RuntimeError(f"{self.process_name} was never started")
        self.process.kill()
        self._supervisor.start(self.process)
        if wait:
            self.wait_ready()
