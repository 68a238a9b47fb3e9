"""Run lanes in processes of their own (ADR 14).

The first lane's process is the parent: it forks the others, which share its loaded memory.

If one process ends, for whatever reason (SIGTERM, an error, kill -9), the others are stopped. The
main process serves /metrics and /health for all of them: each second, a lane's process sends a
report of its pulse and its metrics through a pipe.
"""

import logging
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from typing import Final, NamedTuple, TypeAlias

from django.core.management.base import CommandError
from django.db import connections
from prometheus_client import REGISTRY, Metric

from kafka_bridge import conf
from kafka_bridge.telemetry import registry
from kafka_bridge.telemetry.pulse import Pulse, pulses

logger = logging.getLogger(__name__)

REPORT_SECONDS: Final = 1.0  # the time between two reports of a lane
STOP_CHECK_SECONDS: Final = 0.2  # how often a watcher looks if the main lane has stopped
SILENT_SECONDS: Final = 3.0  # a lane without a report for so long is not ready
GRACE_SECONDS: Final = 20.0  # how long a lane may take to end; Kubernetes gives a whole pod 30 s
FORK: Final = multiprocessing.get_context("fork")


class Report(NamedTuple):
    """What a lane's process sends to the main one."""

    pulse_age: float  # seconds
    working: bool
    hindrances: list[str]
    metrics: list[Metric]


RunLane = Callable[[], None]  # raises CommandError with advice for operators
ParentChannel: TypeAlias = "Connection[None, Report | CommandError]"  # the main process's end; None means stop
ChildChannel: TypeAlias = "Connection[Report | CommandError, None]"  # the lane's end


@contextmanager
def forked_lanes(runs: Mapping[str, RunLane], stop: threading.Event) -> Iterator[None]:
    """Run each of these lanes, by name, in a process of its own while the block runs the first one.

    Enter this block after the signal handlers are set, and before the process has any thread,
    connection or metric of its own: a fork would copy them. Raises CommandError if a lane did not
    end well, with that lane's own explanation if it gave one.
    """
    if runs:
        connections.close_all()  # Django's checks may have opened one, and two processes must not share it
    lanes: list[_LaneProcess] = []
    for name, run in runs.items():
        lanes.append(_LaneProcess(name, run, stop, [lane.channel for lane in lanes]))
    for lane in lanes:
        lane.watcher.start()  # a thread, so only after the last fork
    try:
        yield
    finally:
        stop.set()
        deadline = time.monotonic() + GRACE_SECONDS
        for lane in lanes:
            lane.end(deadline)
    for lane in lanes:
        lane.check_end()


class _LaneProcess:
    """A lane's process as the main process sees it.

    `inherited`: the channels of lanes forked earlier, of which the new process closes its copies.
    """

    def __init__(self, name: str, run: RunLane, stop: threading.Event, inherited: list[ParentChannel]) -> None:
        self.name = name
        self.stop = stop
        self.explanation: CommandError | None = None
        self.reported_at = time.monotonic()
        self.channel, child_channel = FORK.Pipe()
        # Forking is safe here: no thread and no connection exists yet, so the child inherits no
        # held lock. (numpy, if imported, may have idle threads; it handles forks itself.) The child
        # shares Django's memory and need not import it again.
        self.process = FORK.Process(
            target=_run_child, args=[run, child_channel, [self.channel, *inherited], stop], name=name, daemon=True
        )
        self.process.start()
        child_channel.close()
        self.pulse = Pulse(name)
        self.watcher = threading.Thread(target=self._watch, name=f"lane-{name}", daemon=True)

    def _watch(self) -> None:
        """Receive reports until the process has ended, then stop the main process.

        If the main process stops first, tell the lane's process to stop.
        """
        try:
            while not self.stop.is_set():
                self._receive(STOP_CHECK_SECONDS)
            with suppress(OSError):  # the process has ended meanwhile, and its last message is still to be read
                self.channel.send(None)
            while True:
                self._receive(SILENT_SECONDS)
        except (EOFError, OSError):
            self.pulse.working = False
        finally:
            self.stop.set()

    def _receive(self, seconds: float) -> None:
        """Wait for a message. Raises EOFError or OSError once the process has ended."""
        if self.channel.poll(seconds):
            self._take(self.channel.recv())
        elif time.monotonic() - self.reported_at > SILENT_SECONDS:
            self.pulse.working = False

    def _take(self, message: Report | CommandError) -> None:
        if isinstance(message, CommandError):
            self.explanation = message
            return
        self.reported_at = time.monotonic()
        self.pulse.at = self.reported_at - message.pulse_age
        self.pulse.working = message.working
        self.pulse.hindrances = message.hindrances
        registry.lane_metrics[self.name] = message.metrics

    def end(self, deadline: float) -> None:
        """Wait until the process has ended; kill it at the deadline (monotonic seconds).

        A killed process leaves the database consistent.
        """
        self.process.join(max(0.0, deadline - time.monotonic()))
        if self.process.is_alive():
            logger.error("%s did not end within %.0f s", self.name, GRACE_SECONDS)
            self.process.kill()
            self.process.join()
        self.watcher.join()
        self.channel.close()
        self.pulse.end()
        registry.lane_metrics.pop(self.name, None)

    def check_end(self) -> None:
        """Raise CommandError if the process did not end well."""
        code = self.process.exitcode or 0
        if self.explanation:
            raise self.explanation
        if code < 0:
            raise CommandError(f"{self.name} was killed ({signal.Signals(-code).name}): start the consumer again.")
        if code:
            raise CommandError(f"{self.name} failed: its error is above.")


def _run_child(run: RunLane, channel: ChildChannel, inherited: list[ParentChannel], stop: threading.Event) -> None:
    """Run the lane, send reports of it, and exit.

    The copies of the parent's channels are closed first. Otherwise a process would hold the
    parent's end of its own pipe and never notice the parent's death.
    """
    for parent_channel in inherited:
        parent_channel.close()
    pulses.clear()
    sending = threading.Lock()
    threading.Thread(target=_send_reports, args=[channel, sending, stop], name="lane-reports", daemon=True).start()
    try:
        run()
    except CommandError as error:
        with sending, suppress(OSError):
            channel.send(error)
        sys.exit(error.returncode)


def _send_reports(channel: ChildChannel, sending: threading.Lock, stop: threading.Event) -> None:
    """Send a report each second until the parent says stop or has died, then set `stop`.

    A lane that hangs is ended after GRACE_SECONDS: as an orphan it would keep its partitions.
    """
    with suppress(EOFError, OSError):
        while not channel.poll(REPORT_SECONDS):
            with sending:
                for pulse in list(pulses.values()):  # one, as soon as the runner exists
                    channel.send(Report(pulse.age, pulse.working, pulse.hindrances, _own_metrics()))
    stop.set()
    time.sleep(GRACE_SECONDS)
    os._exit(1)


def _own_metrics() -> list[Metric]:
    """Return the engine's metrics.

    The figures of Python and of the operating system come from the main process alone.
    """
    return [family for family in REGISTRY.collect() if family.name.startswith(f"{conf.PREFIX}_")]
