"""A summer day of Santiago in minutes, under four policies of how many pods there are.

The pods are of contabilidad, each with a limit of CPU, and the day's sales go straight to Kafka
(ADR 51). The day is shorter than 24 h; KEDA's polling and a pod's start take real seconds.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import median
from typing import Any, Final

from bench.carga.audit import close_the_week
from bench.demanda.calibration import calibrate
from bench.demanda.day import HOURS, Day
from bench.demanda.limits import lack
from bench.demanda.pods import loaded, pods
from bench.demanda.policy import OTHERS, PARTITIONS, STABLE_SECONDS, Rule, pods_for, read_keda
from bench.demanda.trial import Policy, measure
from bench.openloop.summary import Point
from bench.result import RESULTS, Result, Say
from deploy.embedded import StackError
from ventas.libro import CONTABILIDAD
from ventas.models import Venta

SUMMARY: Final = "a summer day under four policies of scaling: what sales wait, and what is paid"
NAME: Final = "demanda"
SECONDS, MEAN, SEED, ROUNDS = 120.0, 500.0, 1, 1
CORES: Final = 0.05  # of a pod
CALIBRATION_SECONDS: Final = 10.0
STABLE_POLLS: Final = 2  # how many of KEDA's polls the number of pods must be too great
FOR_THE_MEAN, FOR_THE_PEAK, BY_LAG, BY_LAG_AND_HOUR = POLICIES = (
    "fijo para la media",
    "fijo para el máximo",
    "por atraso",
    "por atraso y hora",
)


def arguments(rest: Sequence[str]) -> argparse.Namespace:
    """Parse this benchmark's own options."""
    parser = argparse.ArgumentParser(prog="./dev bench demanda", description=SUMMARY)
    parser.add_argument("--seconds", type=float, default=SECONDS, help=f"of a day (default: {SECONDS:g})")
    parser.add_argument("--mean", type=float, default=MEAN, help=f"sales per second (default: {MEAN:g})")
    parser.add_argument("--cores", type=float, default=CORES, help=f"that a pod may use (default: {CORES:g})")
    parser.add_argument("--seed", type=int, default=SEED, help=f"of the sales' moments (default: {SEED})")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"of all policies (default: {ROUNDS})")
    parser.add_argument("--add", action="store_true", help=f"keep the rounds that {NAME}.json has")
    return parser.parse_args(rest)


def run(say: Say, options: argparse.Namespace) -> Result:
    """Measure the policies in turns.

    The ratio is that of the process-hours of the peak's fixed number and of KEDA. Raises StackError
    if the machine can set no limits of CPU.
    """
    if lacking := lack():
        raise StackError(lacking)
    points, first = begun(options)
    day = Day(options.seconds, options.mean)
    before = Venta.objects.count()
    with loaded() as forks:
        for number in range(first, first + options.rounds):
            with pods(forks, options.cores) as some:
                sized = size(calibrate(some, day.mean, min(CALIBRATION_SECONDS, day.seconds / 4)), day)
            say(f"round {number}: {_told(sized)}")
            points.append({"round": number} | sized)
            for index, policy in enumerate(policies(sized)):
                with pods(forks, options.cores) as some:
                    figures, series = measure(policy, day, some, options.seed + number)
                say(f"round {number}, {policy.name}: {_told(figures)}")
                points += [{"round": number, "policy": index} | point for point in (figures, *series)]
    say("the week is closed")
    counted = close_the_week()
    rows = Venta.objects.count() - before
    if counted != rows:
        raise RuntimeError(f"{counted} sales are counted in the reports, of {rows} rows")
    return result(points, options, {"rows": rows, "counted": counted})


def size(calibration: Point, day: Day) -> Point:
    """Add KEDA's threshold for a pod with a limit, and how many pods the fixed policies have.

    The threshold is as many seconds of a pod's work as the project's is of an unlimited pod's.
    """
    capacity = calibration["rows per second"]
    return calibration | {
        "threshold": read_keda().threshold / unlimited() * capacity,
        "pods for the mean": pods_for(day.mean, capacity),
        "pods for the peak": pods_for(day.most, capacity),
    }


def unlimited() -> float:
    """Return the rows per second of a process without a limit."""
    rate: float = read("sink")["medians"][CONTABILIDAD]
    return rate


def policies(sized: Point) -> list[Policy]:
    """Return the four policies, in the order of POLICIES."""
    keda = read_keda()
    stable = STABLE_POLLS * keda.polling
    by_lag = Rule(sized["threshold"], keda.least, min(keda.most, PARTITIONS), keda.polling, stable)
    return [
        Policy(FOR_THE_MEAN, int(sized["pods for the mean"])),
        Policy(FOR_THE_PEAK, int(sized["pods for the peak"])),
        Policy(BY_LAG, keda.least, by_lag),
        Policy(BY_LAG_AND_HOUR, keda.least, replace(by_lag, cron=keda.cron)),
    ]


def read(name: str) -> dict[str, Any]:
    """Return a result of bench/results."""
    found: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text())
    return found


def begun(options: argparse.Namespace) -> tuple[list[Point], int]:
    """Return the points of earlier rounds that this run adds to, and the number of its first round.

    Raises StackError if these were set otherwise.
    """
    if not options.add or not (RESULTS / f"{NAME}.json").exists():
        return [], 1
    before = read(NAME)
    given = _given(options)
    if differing := [name for name, value in given.items() if before["settings"].get(name) != value]:
        raise StackError(f"{NAME}.json was measured with other settings: {', '.join(differing)}")
    points: list[Point] = before["points"]
    return points, 1 + int(max(point["round"] for point in points))


def summaries(points: Sequence[Point], policy: int) -> list[Point]:
    """Return the figures of each round of a policy."""
    return [point for point in points if point.get("policy") == policy and "accepted" in point]


def _given(options: argparse.Namespace) -> dict[str, float]:
    return {
        "seconds": options.seconds,
        "mean, sales per second": options.mean,
        "cores of a pod": options.cores,
        "seed": options.seed,
    }


def result(points: list[Point], options: argparse.Namespace, audited: Mapping[str, float]) -> Result:
    """Return the result: medians over the rounds by policy, and of the calibrations."""
    keda, day = read_keda(), Day(options.seconds, options.mean)
    calibrations = [point for point in points if "policy" not in point]
    by_policy = {name: summaries(points, index) for index, name in enumerate(POLICIES)}
    also = {
        f"{name}: {figure}": median(point[figure] for point in each)
        for name, each in by_policy.items()
        for figure in each[0]
        if figure not in ("round", "policy")
    }
    also |= {
        f"pod: {figure}": median(one[figure] for one in calibrations) for figure in calibrations[0] if figure != "round"
    }
    also |= {f"audit of the last run: {name}": count for name, count in audited.items()}
    given: dict[str, float | str] = {
        **_given(options),
        "rounds": len(calibrations),
        "greatest rate, sales per second": day.most,
        "hours of a real second": HOURS / options.seconds,
        "partitions": PARTITIONS,
        "partitions of accounts": OTHERS,
        "KEDA's lagThreshold": keda.threshold,
        "rows per second of a pod without a limit": unlimited(),
        "KEDA's pollingInterval, real s": keda.polling,
        "pods at least": keda.least,
        "pods at most": min(keda.most, PARTITIONS),
        "cron, from hour": keda.cron.start,
        "cron, to hour": keda.cron.end,
        "cron, pods": keda.cron.replicas,
        "fewer pods after, real s": STABLE_POLLS * keda.polling,
        "fewer pods after, in Kubernetes, s": STABLE_SECONDS,
        "real": "KEDA's polling and a pod's start take real seconds, which are not shortened as the day is",
    }
    hours = {name: [point["process-hours"] for point in each] for name, each in by_policy.items()}
    ratio = median(hours[FOR_THE_PEAK]) / median(hours[BY_LAG])
    waits = {name: [point["row, p99, ms"] for point in each] for name, each in by_policy.items()}
    means = "process-hours, fixed for the peak over by lag"
    return Result(NAME, SUMMARY, "ms", waits, ratio, means, also, points, given)


def _told(figures: Point) -> str:
    return ", ".join(f"{name} {value:,.4g}" for name, value in figures.items())
