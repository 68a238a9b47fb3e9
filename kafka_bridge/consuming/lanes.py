"""A process for each priority lane, beside the main lane's, and what it tells of itself through a pipe (ADR 3).

Whatever ends one ends all: SIGTERM to the main one, an error of either, kill -9 of either. The main one answers for all at
/metrics and /health: each second a lane's process tells its pulse and what it has counted.
"""

import logging
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from multiprocessing.connection import Connection
from typing import Final, TypeAlias

from django.core.management.base import CommandError
from django.db import connections
from prometheus_client import REGISTRY, Metric

from kafka_bridge import conf
from kafka_bridge.consuming.handlers import Consumer
from kafka_bridge.telemetry import registry
from kafka_bridge.telemetry.pulse import Pulse, pulses

logger = logging.getLogger(__name__)

TELL_SECONDS: Final = 1.0  # how often a lane tells of itself
LOOK_SECONDS: Final = 0.2  # how soon a main lane that has ended or was told to stop ends the others
SILENT_SECONDS: Final = 3.0  # a lane that tells nothing for so long is not ready
GRACE_SECONDS: Final = 20.0  # what a lane may take to end; Kubernetes gives a whole pod 30
FORK: Final = multiprocessing.get_context("fork")

Work = Callable[[str], None]  # runs the lane of that name; raises CommandError with what a person must know
News = tuple[float, bool, list[Metric]]  # its pulse's age in seconds, whether it can work, what it has counted
Channel: TypeAlias = "Connection[News | CommandError | None, News | CommandError]"  # None is the parent's, to stop


@contextmanager
def beside(consumer: Consumer, work: Work, stop: threading.Event) -> Iterator[None]:
    """Works on each priority lane in a process of its own for as long as the block, which works on the main lane.

    Enter it before anything has a thread, a connection or a count of its own, with the signals' handlers in place: all is
    forked. Raises CommandError where a lane did not end well, with its own explanation where it gave one.
    """
    if consumer.lanes:
        connections.close_all()  # of Django's checks, if they looked; two processes must not share one
    lanes: list[_Lane] = []
    for name in consumer.lanes:
        lanes.append(_Lane(f"{consumer.name}.{name}", partial(work, name), stop, lanes))
    for lane in lanes:
        lane.watcher.start()  # once all are forked: a thread
    try:
        yield
    finally:
        stop.set()
        for lane in lanes:
            lane.end()
    for lane in lanes:
        lane.must_have_ended_well()


class _Lane:
    """A lane's process, as the main one sees it. `others` are those that were forked before."""

    def __init__(self, name: str, run: Callable[[], None], stop: threading.Event, others: "list[_Lane]") -> None:
        self.name = name
        self.stop = stop
        self.explanation: CommandError | None = None
        self.heard_at = time.monotonic()
        self.channel, its_end = FORK.Pipe()
        ours = [self.channel, *(other.channel for other in others)]
        # Safe: nothing of ours has a thread yet, so no lock is held, and nothing a connection. (numpy, where a tool brought
        # it, has idle threads, and sees to forks itself.) A fork shares Django's memory and need not import it.
        self.process = FORK.Process(target=_child, args=[run, its_end, ours, stop], name=name, daemon=True)
        self.process.start()
        its_end.close()
        self.pulse = Pulse(name)
        self.watcher = threading.Thread(target=self._watch, name=f"lane-{name}", daemon=True)

    def _watch(self) -> None:
        """Listens until its process has ended, which ends us; and tells it to stop where we are."""
        try:
            while not self.stop.is_set():
                self._listen(LOOK_SECONDS)
            with suppress(OSError):  # it has ended meanwhile: its last words are still to be read
                self.channel.send(None)
            while True:
                self._listen(SILENT_SECONDS)
        except (EOFError, OSError):
            self.pulse.working = False
        finally:
            self.stop.set()

    def _listen(self, seconds: float) -> None:
        """Raises EOFError, OSError once its process has ended."""
        if self.channel.poll(seconds):
            self._hear(self.channel.recv())
        elif time.monotonic() - self.heard_at > SILENT_SECONDS:
            self.pulse.working = False

    def _hear(self, told: News | CommandError) -> None:
        if isinstance(told, CommandError):
            self.explanation = told
            return
        age, self.pulse.working, registry.lane_metrics[self.name] = told
        self.heard_at = time.monotonic()
        self.pulse.at = self.heard_at - age

    def end(self) -> None:
        """Waits until it has ended, at most GRACE_SECONDS: then it is killed, which the database does not mind."""
        self.process.join(GRACE_SECONDS)
        if self.process.is_alive():
            logger.error("%s did not end within %.0f s", self.name, GRACE_SECONDS)
            self.process.kill()
            self.process.join()
        self.watcher.join()
        self.channel.close()
        self.pulse.end()
        registry.lane_metrics.pop(self.name, None)

    def must_have_ended_well(self) -> None:
        """Raises CommandError."""
        code = self.process.exitcode or 0
        if self.explanation:
            raise self.explanation
        if code < 0:
            raise CommandError(f"{self.name} was killed ({signal.Signals(-code).name}): start the consumer again.")
        if code:
            raise CommandError(f"{self.name} failed: its error is above.")


def _child(run: Callable[[], None], channel: Channel, inherited: list[Channel], stop: threading.Event) -> None:
    """A lane's process. While it holds a copy of the parent's end of a pipe, the parent's death would go unnoticed."""
    for end in inherited:
        end.close()
    pulses.clear()
    one_at_a_time = threading.Lock()
    threading.Thread(target=_tell, args=[channel, one_at_a_time, stop], name="lane-news", daemon=True).start()
    try:
        run()
    except CommandError as error:
        with one_at_a_time, suppress(OSError):
            channel.send(error)
        sys.exit(error.returncode)


def _tell(channel: Channel, one_at_a_time: threading.Lock, stop: threading.Event) -> None:
    """Until the parent says to stop, or is gone. What hangs then is not waited for: an orphan would hold its partitions."""
    with suppress(EOFError, OSError):
        while not channel.poll(TELL_SECONDS):
            with one_at_a_time:
                for pulse in list(pulses.values()):  # its only one, once there is a runner
                    channel.send((pulse.age, pulse.working, _counted()))
    stop.set()
    time.sleep(GRACE_SECONDS)
    os._exit(1)


def _counted() -> list[Metric]:
    """What is ours. What Python and the process are like is for the main one to say."""
    return [family for family in REGISTRY.collect() if family.name.startswith(f"{conf.PREFIX}_")]
