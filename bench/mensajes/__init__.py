"""What more messages in the topics do: one factor after the other, on real servers.

Of each setting: how fast the product's consumer applies what waits, how long until the last of it
is a row, and how long a new sale takes to its acknowledgement and to its row. Rounds alternate
between the settings. Each factor is a result of its own, `mensajes-FACTOR`, to which later runs may
add their rounds.
"""

import argparse
import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from statistics import median
from typing import Final

from bench import cpu
from bench.mensajes.brokers import own_broker, three_brokers, using
from bench.mensajes.factors import FACTORS, Factor, Setting
from bench.mensajes.point import STEADY_PER_SECOND, measure
from bench.mensajes.publish import PUBLISHERS
from bench.openloop.summary import Point
from bench.result import RESULTS, Result, Say

SUMMARY: Final = (
    "what more messages in the topics do: waiting, size, batch, partitions, consumers, brokers, linger, page cache"
)
ROUNDS: Final = 3
MEASURED_TOO: Final = {"joined", "newcomers", "publishes", "once"}  # these change what is measured, and not the system


def arguments(rest: Sequence[str]) -> argparse.Namespace:
    """Parse this benchmark's own options."""
    parser = argparse.ArgumentParser(prog="./dev bench mensajes", description=SUMMARY)
    parser.add_argument("--factor", choices=FACTORS, action="append", help="only this one (may be given again)")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"of all settings (default: {ROUNDS})")
    parser.add_argument("--add", action="store_true", help="keep the rounds of earlier runs in the result")
    parser.add_argument(
        "--most", type=int, metavar="N", help="test the benchmark: first and last setting, at most N waiting sales"
    )
    return parser.parse_args(rest)


def run(say: Say, options: argparse.Namespace) -> Iterator[Result]:
    """Measure the factors one after the other; yield the result of each when it is there."""
    for name in options.factor or FACTORS:
        factor = FACTORS[name].shortened(options.most) if options.most else FACTORS[name]
        say(f"{name}: {factor.summary}")
        points, runs = _earlier(name) if options.add else ([], 0)
        done = round(points[-1]["round"]) if points else 0
        points += _points(name, factor, range(done + 1, done + options.rounds + 1), say)
        yield _result(name, factor, points, runs + 1)


def _earlier(name: str) -> tuple[list[Point], int]:
    """Return the points of the runs before, and how many runs these were."""
    path = RESULTS / f"mensajes-{name}.json"
    if not path.exists():
        return [], 0
    result = json.loads(path.read_text())
    return result["points"], result["settings"].get("runs", 1)


def _points(name: str, factor: Factor, rounds: Sequence[int], say: Say) -> Iterator[Point]:
    """Yield the points of these rounds."""
    with ExitStack() as stack:
        brokers = {1: own_broker()}
        if any(setting.brokers == 3 for setting in factor.settings):
            brokers[3] = stack.enter_context(three_brokers(say))
        for number in rounds:
            for index, setting in enumerate(factor.settings, 1):
                if setting.once and number > rounds[0]:
                    continue
                began, others = time.perf_counter(), _seconds_of_others()
                point = {"round": number, "setting": index} | setting.numbers()
                with using(brokers[setting.brokers]):
                    point |= measure(setting, brokers[setting.brokers])
                seconds = time.perf_counter() - began
                point["cores of other programs"] = (_seconds_of_others() - others) / seconds
                say(f"{name}, round {number}/{rounds[-1]}, {_line(point)} ({seconds:.0f} s)")
                yield point


def _seconds_of_others() -> float:
    """Return the CPU time of the machine that is not this program's, nor its servers'."""
    return cpu.machine_seconds() - cpu.tree_seconds(os.getpid())


def _line(point: Point) -> str:
    told = {
        "rows/s": point["rows per second"],
        "s to the last row": point["seconds until the last row"],
        "ms to the acknowledgement (p50)": point["publish, p50"],
        "ms to the row (p50)": point["row, p50"],
        "cores of others": point["cores of other programs"],
    }
    return f"{_named(point)}: " + ", ".join(f"{value:,.4g} {what}" for what, value in told.items())


def _result(name: str, factor: Factor, points: list[Point], runs: int) -> Result:
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
        {
            "rounds": points[-1]["round"],
            "runs": runs,
            "new sales per second": STEADY_PER_SECOND,
            "publishers at once": PUBLISHERS,
        },
    )


def _named(point: Point) -> str:
    usual = Setting().numbers()
    different = [name for name in usual if point[name] != usual[name] and name not in MEASURED_TOO]
    return ", ".join(f"{name} {point[name]:g}" for name in different) or "as usual"
