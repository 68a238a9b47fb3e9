"""What becomes of twice as many sales as the system carries: refused in time, or accepted and kept.

All that is accepted is a row in the end and counts once. The rest must get 429 or 503 with
Retry-After within 10 s, memory must not grow with what waits, and a minute after the load nothing
may be left.
"""

import argparse
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final

import psutil

from bench.carga import database_url, spread
from bench.carga.audit import audit
from bench.carga.step import Plan, measure
from bench.openloop.carts import open_carts
from bench.openloop.summary import Point
from bench.result import Result, Say
from bench.system import EVERYTHING, running

SUMMARY: Final = "what becomes of twice as many sales as the system carries: refused in time, or accepted and kept"
RATE, SECONDS, SEED = 1_200.0, 300.0, 1  # twice the knee of bench/results/carga.json
PROMISED_MS: Final = 10_000.0  # until an answer of any kind
LEVEL_SECONDS: Final = 60.0  # after the load, until nothing waits
MOST_GROWTH: Final = 2.0  # of a process's memory
SAMPLE_SECONDS: Final = 1.0


def arguments(rest: Sequence[str]) -> argparse.Namespace:
    """Parse this benchmark's own options."""
    parser = argparse.ArgumentParser(prog="./dev bench sobrecarga", description=SUMMARY)
    parser.add_argument("--rate", type=float, default=RATE, help=f"sales per second (default: {RATE:g})")
    parser.add_argument("--seconds", type=float, default=SECONDS, help=f"of load (default: {SECONDS:g})")
    parser.add_argument("--seed", type=int, default=SEED, help=f"of the maestros' moments (default: {SEED})")
    return parser.parse_args(rest)


def run(say: Say, options: argparse.Namespace) -> Result:
    """Overload the system once, and audit it.

    The ratio is the smallest of what was allowed over what was found: time until the last answer,
    seconds until nothing waited, growth of memory. At 1 or more, overload is survived.
    """
    plan = Plan(options.rate, options.seconds, options.seed)
    with running(*EVERYTHING) as web:
        maestros = open_carts(plan.maestros)
        say(f"{len(maestros):,} maestros have opened their carts")
        first = spread(web, maestros)
        memory = Memory(web.pids)
        memory.start()
        point, sent = measure(web, maestros, plan, database_url())
        memory.stop()
        say(f"{len(sent.sales):,} sales accepted; answers by status: {dict(sent.statuses)}")
        if sent.lacking:
            say(f"requests without an answer: {dict(sent.lacking)}")
        check(point)
        audited = audit([first, sent])
    found = {name: largest / memory.before[name] for name, largest in memory.largest.items()}
    allowed = {
        "answer": PROMISED_MS / point["answer, max"],
        "level again": LEVEL_SECONDS / max(1.0, point["seconds until nothing waited"]),
        "memory": MOST_GROWTH / max(found.values()),
    }
    also = {f"audit: {name}": count for name, count in audited.items()}
    also |= {f"memory of {name}, largest over before": growth for name, growth in found.items()}
    also |= {f"allowed over found: {name}": share for name, share in allowed.items()}
    figures = {name: [ms] for name, ms in point.items() if name.startswith(("answer, ", "row, ", "restock, "))}
    settings = {"rate": options.rate, "seconds": options.seconds, "seed": options.seed}
    return Result(
        "sobrecarga", SUMMARY, "ms", figures, min(allowed.values()), "allowed over found", also, [point], settings
    )


def check(point: Point) -> None:
    """Raise RuntimeError unless each request was accepted, or refused with the moment to retry."""
    wrong = {name: point[name] for name in ("no answer", "other answers", "without Retry-After") if point[name]}
    if wrong:
        raise RuntimeError(f"requests that were neither accepted nor refused as promised: {wrong}")


class Memory(threading.Thread):
    """Watches how much memory each process takes, its children included, in MB."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        super().__init__(daemon=True)
        self.pids = pids
        self.before = self.now()
        self.largest = dict(self.before)
        self._done = threading.Event()

    def run(self) -> None:
        while not self._done.wait(SAMPLE_SECONDS):
            for name, megabytes in self.now().items():
                self.largest[name] = max(megabytes, self.largest[name])

    def now(self) -> dict[str, float]:
        """Return the resident memory by name."""
        return {name: sum(map(_megabytes, _family(pid))) for name, pid in self.pids.items()}

    def stop(self) -> None:
        """End the thread. Raises psutil.NoSuchProcess if one of the processes has ended."""
        self._done.set()
        self.join()
        self.now()


def _family(pid: int) -> list[psutil.Process]:
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]  # raises if the process has ended


def _megabytes(process: psutil.Process) -> float:
    with suppress(psutil.NoSuchProcess):
        return float(process.memory_info().rss) / 2**20
    return 0.0
