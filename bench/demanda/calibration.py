"""What a limited pod can do, measured before the days: its start, its speed, its costs.

Work costs a pod something all the time, for each batch and for each row; PostgreSQL too. Three
phases differ in these: no sales, a few of them all the time, and a backlog.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.optimize import nnls

from bench import cpu
from bench.demanda.pods import Pods
from bench.demanda.trial import FIRST, READY_SECONDS, Trial, batches, fresh, wait_until_shared
from bench.openloop.summary import Point

PARTS: Final = ("pod", "PostgreSQL")
BACKLOG_SECONDS: Final = 8.0
FULL_ROWS: Final = 1_000  # of a backlog that tells how long it must be


@dataclass(frozen=True)
class Phase:
    """`used`: seconds of CPU of the pod and of PostgreSQL."""

    seconds: float
    batches: int
    rows: int
    used: tuple[float, float]


def calibrate(pods: Pods, mean: float, seconds: float) -> Point:
    """Return the figures of one pod, of which two phases take so many seconds."""
    with fresh(pods) as trial:
        began = time.perf_counter()
        pods.scale(1)
        trial.accepted.at_once(FIRST)
        trial.wait(READY_SECONDS)
        start = time.perf_counter() - began
        rest = _phase(trial, lambda: _rest(seconds / 2))
        steady = _phase(trial, lambda: _steadily(trial, mean, seconds))
        short = _phase(trial, lambda: trial.accepted.at_once(FULL_ROWS))
        amount = round(BACKLOG_SECONDS / short.seconds * short.rows)
        full = _phase(trial, lambda: trial.accepted.at_once(amount))
        joined = _seconds_until_shared(pods, 2)
        left = _seconds_until_shared(pods, 1)
    return {
        "pod's start, s": start,
        "second pod shares, s": joined,
        "one pod is left, s": left,
        "rows per second": full.rows / full.seconds,
        **fit((rest, steady, short, full)),
    }


def _phase(trial: Trial, publish: Callable[[], None]) -> Phase:
    """Publish, and wait until every sale is a row."""
    rows, before, used, began = trial.accepted.count, batches(), _used(trial), time.perf_counter()
    publish()
    trial.wait(READY_SECONDS)
    seconds = time.perf_counter() - began
    pod, database = (after - earlier for after, earlier in zip(_used(trial), used, strict=True))
    return Phase(seconds, batches() - before, trial.accepted.count - rows, (pod, database))


def _rest(seconds: float) -> None:
    """Publish nothing for so long: what the pod uses then is its idle CPU."""
    time.sleep(seconds)  # the time over which idle CPU is measured


def _used(trial: Trial) -> tuple[float, float]:
    trial.pods.look()
    return trial.pods.cpu, cpu.seconds({})["postgresql"]


def _steadily(trial: Trial, rate: float, seconds: float) -> None:
    due = [number / rate for number in range(round(rate * seconds))]
    trial.accepted.day(time.perf_counter(), due, seed=1)


def fit(phases: tuple[Phase, ...]) -> Point:
    """Return the costs that come nearest by relative error, none negative: in cores and seconds."""
    figures: Point = {}
    for number, part in enumerate(PARTS):
        used = np.array([phase.used[number] for phase in phases])
        weights = 1 / np.maximum(used, 1e-3)
        work = np.array([[phase.seconds, phase.batches, phase.rows] for phase in phases])
        (idle, batch, row), _ = nnls(work * weights[:, None], used * weights)
        figures |= {
            f"cores at rest, {part}": idle,
            f"ms per batch, {part}": 1e3 * batch,
            f"µs per row, {part}": 1e6 * row,
        }
    return figures


def _seconds_until_shared(pods: Pods, count: int) -> float:
    """Return how long it takes until so many pods share the partitions."""
    began = time.perf_counter()
    pods.scale(count)
    wait_until_shared(count)
    return time.perf_counter() - began
