"""What every server of the stack can be told to do."""

import signal
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

from deploy.embedded.processes import Process, Supervisor


class Server(ABC):
    """One server process that keeps its port, data and log when it is killed and restarted."""

    start_timeout = 60.0  # seconds; far more than an idle machine needs
    stop_timeout = 20.0

    def __init__(self, process_name: str) -> None:
        self.process_name = process_name
        self._process: Process | None = None
        self._supervisor: Supervisor | None = None

    @property
    def process(self) -> Process:
        """Its process; the last one when it is down."""
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
        """Start the process; does not wait until it answers."""
        self._supervisor = supervisor
        self._process = supervisor.spawn(self.process_name, argv, cwd=cwd, stop_signal=stop_signal)

    @abstractmethod
    def ready(self) -> bool:
        """Whether it does its work for a client; never raises when it does not."""

    def wait_ready(self) -> None:
        """Until `ready`. Raises StackError when the process ends first or takes too long."""
        self.process.wait_ready(self.ready, self.start_timeout)

    def kill(self) -> None:
        """SIGKILL to it and its children, as a crash would; returns when they are gone."""
        self.process.kill()

    def pause(self) -> None:
        """SIGSTOP: connections stay open and nothing answers."""
        self.process.pause()

    def resume(self) -> None:
        """SIGCONT after `pause`."""
        self.process.resume()

    def stop(self) -> None:
        """A clean shutdown."""
        self.process.stop(timeout=self.stop_timeout)

    def restart(self, *, wait: bool = True) -> None:
        """Start it again on its port and data, killed first if it runs; by default returns when it is ready."""
        if self._supervisor is None:
            raise RuntimeError(f"{self.process_name} was never started")
        self.process.kill()
        self._supervisor.start(self.process)
        if wait:
            self.wait_ready()
