"""What more messages in the topics do: one factor after the other, on real servers.

Of each setting: how fast the product's consumer applies what waits, how long until the last of it
is a row, and how long a new sale takes to its acknowledgement and to its row. Rounds alternate
between the settings. Each factor is a result of its own, `mensajes-FACTOR`.
"""

import argparse
import time
from collections.abc import Iterator, Sequence
from statistics import median
from typing import Final

import psutil

from bench import cpu
from bench.mensajes.factors import FACTORS, Factor, Setting
from bench.mensajes.point import STEADY_PER_SECOND, measure
from bench.mensajes.publish import PUBLISHERS
from bench.openloop.summary import Point
from bench.result import Result, Say

SUMMARY: Final = "what messages in the topics do to latency and throughput: their size, batches, partitions, linger"
ROUNDS: Final = 3


def arguments(rest: Sequence[str]) -> argparse.Namespace:
    """Parse this benchmark's own options."""
    parser = argparse.ArgumentParser(prog="./dev bench mensajes", description=SUMMARY)
    parser.add_argument("--factor", choices=FACTORS, action="append", help="only this one (may be given again)")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"of all settings (default: {ROUNDS})")
    parser.add_argument("--most", type=int, metavar="N", help="at most N waiting sales: for a test of the benchmark")
    return parser.parse_args(rest)


def run(say: Say, options: argparse.Namespace) -> Iterator[Result]:
    """Measure the factors one after the other; yield the result of each when it is there."""
    for name in options.factor or FACTORS:
        factor = FACTORS[name].shortened(options.most) if options.most else FACTORS[name]
        say(f"{name}: {factor.summary}")
        yield _result(name, factor, list(_points(name, factor, options.rounds, say)), options)


def _points(name: str, factor: Factor, rounds: int, say: Say) -> Iterator[Point]:
    """Yield the points of all rounds."""
    for number in range(1, rounds + 1):
        for index, setting in enumerate(factor.settings, 1):
            began, others = time.perf_counter(), _seconds_of_others()
            point = {"round": number, "setting": index} | setting.numbers() | measure(setting)
            seconds = time.perf_counter() - began
            point["cores of other programs"] = (_seconds_of_others() - others) / seconds
            say(f"{name}, round {number}/{rounds}, {_line(point)} ({seconds:.0f} s)")
            yield point


def _seconds_of_others() -> float:
    """Return the CPU time of the machine that is not this program's, nor its servers'."""
    return cpu.machine_seconds() - cpu.tree_seconds(psutil.Process())


def _line(point: Point) -> str:
    told = {
        "rows/s": point["rows per second"],
        "s to the last row": point["seconds until the last row"],
        "ms to the acknowledgement (p50)": point["publish, p50"],
        "ms to the row (p50)": point["row, p50"],
        "cores of others": point["cores of other programs"],
    }
    return f"{_named(point)}: " + ", ".join(f"{value:,.4g} {what}" for what, value in told.items())


def _result(name: str, factor: Factor, points: list[Point], options: argparse.Namespace) -> Result:
    """Return the result; its ratio is the lowest rate of rows over the highest."""
    by_setting: dict[str, list[float]] = {}
    for point in points:
        by_setting.setdefault(_named(point), []).append(point["rows per second"])
    rates = [median(each) for each in by_setting.values()]
    summary = f"what {factor.summary} changes"
    also = {"audit: sales that are rows": sum(point["sales"] for point in points)}
    return Result(
        f"mensajes-{name}",
        summary,
        "rows/s",
        by_setting,
        min(rates) / max(rates),
        "slowest setting over the fastest",
        also,
        points,
        {"rounds": options.rounds, "new sales per second": STEADY_PER_SECOND, "publishers at once": PUBLISHERS},
    )


def _named(point: Point) -> str:
    usual = Setting().numbers()
    different = [name for name in usual if point[name] != usual[name] and name != "publishes"]
    return ", ".join(f"{name} {point[name]:g}" for name in different) or "as usual"
