"""A simulation of the whole, checked against measured runs, and then days too large for two cores.

The costs of a pod with a limit are those that `bench demanda` measured; those of one without are
fitted to `bench mensajes`, whose batches differ. Everything is computed from bench/results.
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from statistics import median
from typing import Any, Final

import numpy as np
from scipy.optimize import nnls

from bench.demanda import BY_LAG, BY_LAG_AND_HOUR, FOR_THE_MEAN, FOR_THE_PEAK, policies, read
from bench.demanda.day import HEAT, HOURS, Day
from bench.demanda.policy import OTHERS, PARTITIONS, STABLE_SECONDS, SYNC_SECONDS, Rule, pods_for, read_keda
from bench.demanda.trial import Policy
from bench.openloop.orders import MEAN_SECONDS
from bench.openloop.summary import Point
from bench.result import Result, Say
from bench.simulacion.arrivals import at_once, of_day
from bench.simulacion.engine import Consumers, Outcome, Simulation
from bench.simulacion.pods import Costs
from ventas.events import VENTAS

SUMMARY: Final = "a simulated summer day, checked against the measured one, and one of a million maestros"
STARTS_ITS_SYSTEM = True  # it needs none: it reads bench/results
SEED, REPLICATIONS = 1, 5
CHECKED: Final = ("row, p99, ms", "greatest lag", "process-hours", "CPU-seconds of pods", "batches")
STEP: Final = 0.01  # s, of the measured day
# Of ./dev cluster (deploy/cluster/control_plane.py): how often its autoscaler looks, and how long
# it waits before it ends pods.
CLUSTER_SYNC, CLUSTER_STABLE, CLUSTER_SECONDS = 3.0, 10.0, 60.0
PEAK: Final = 60_000  # sales
SIZES: Final = (10_000, 100_000, 1_000_000)
LARGE_STEP: Final = 0.25  # s: what a pod's turn stands for, and the resolution
LARGE_NOTE: Final = 120.0  # s between points
DAY_SECONDS: Final = 86_400.0


def arguments(rest: Sequence[str]) -> argparse.Namespace:
    """Parse this benchmark's own options."""
    parser = argparse.ArgumentParser(prog="./dev bench simulacion", description=SUMMARY)
    parser.add_argument("--seed", type=int, default=SEED, help=f"of the sales' moments (default: {SEED})")
    parser.add_argument("--replications", type=int, default=REPLICATIONS, help=f"default: {REPLICATIONS}")
    parser.add_argument("--most", type=int, default=SIZES[-1], help="leave out guilds with more maestros")
    return parser.parse_args(rest)


def run(say: Say, options: argparse.Namespace) -> Result:
    """Check against the measured day and the real KEDA, then simulate large guilds.

    The ratio is that of prediction and measurement of the process-hours by lag, the smaller one
    above.
    """
    measured, cluster = read("demanda"), read("cluster")["trials"]
    checks = check_day(measured, options.seed, options.replications)
    checks |= {f"KEDA: {name}": pair for name, pair in check_cluster(cluster).items()}
    for name, (predicted, found) in checks.items():
        say(f"{name}: predicted {predicted:,.4g}, measured {found:,.4g}")
    also: dict[str, float] = {}
    points: list[Point] = []
    costs = unlimited_costs()
    consumers = large_consumers(costs, cluster, measured)
    for size in (each for each in SIZES if each <= options.most):
        also[f"{size:,} maestros: partitions"] = partitions_of(size)
        for index, (name, figures, series) in enumerate(large_days(size, consumers, options.seed)):
            p99, hours = figures["row, p99, ms"] / 1_000, figures["process-hours"]
            say(f"{size:,} maestros, {name}: p99 {p99:,.4g} s, {hours:,.4g} process-hours")
            also |= {f"{size:,} maestros, {name}: {what}": one for what, one in figures.items()}
            points += [{"maestros": size, "policy": index} | point for point in series]
    rounds = {name: list(pair) for name, pair in checks.items()}
    pair = checks[f"{BY_LAG}: process-hours"]
    given: dict[str, float | str] = {
        "seed": options.seed,
        "replications of the measured day": options.replications,
        "seconds between sales at the peak": MEAN_SECONDS,
        "pod without a limit: ms per batch": 1e3 * costs.batch,
        "pod without a limit: µs per row": 1e6 * costs.row,
        "pod without a limit: ms of PostgreSQL per batch": 1e3 * costs.database_batch,
        "pod without a limit: µs of PostgreSQL per row": 1e6 * costs.database_row,
        "pod without a limit: rows per second": costs.capacity(consumers.most),
        "s until a new pod has partitions": consumers.start,
        "s without an owner after a pod's end": consumers.leave,
        "autoscaler looks every, s": SYNC_SECONDS,
        "fewer pods after, s": STABLE_SECONDS,
        "s that a pod's turn stands for": LARGE_STEP,
        "demanda measured at": measured["measured_at"],
        "cluster measured at": read("cluster")["measured_at"],
        "mensajes-lote measured at": read("mensajes-lote")["measured_at"],
    }
    means = "prediction and measurement of the process-hours by lag"
    return Result("simulacion", SUMMARY, "", rounds, min(pair) / max(pair), means, also, points, given)


def check_day(measured: Mapping[str, Any], seed: int, replications: int) -> dict[str, tuple[float, float]]:
    """Return prediction and measurement by policy and figure: medians of all of each."""
    given, also = measured["settings"], measured["also"]
    day = Day(given["seconds"], given["mean, sales per second"])
    pod = {name.removeprefix("pod: "): figure for name, figure in also.items() if name.startswith("pod: ")}
    consumers = limited_consumers(pod, given["cores of a pod"])
    pairs = {}
    for policy in policies(pod):
        each = [
            figures_of(
                Simulation(of_day(day, PARTITIONS, STEP, seed + number, OTHERS), policy, consumers, day.hour).run(),
                day,
            )
            for number in range(replications)
        ]
        for name in CHECKED:
            key = f"{policy.name}: {name}"
            pairs[key] = (median(one[name] for one in each), also[key])
    return pairs


def limited_consumers(pod: Mapping[str, float], cores: float) -> Consumers:
    """Return pods as `bench demanda` has measured one."""
    costs = Costs(
        limit=cores,
        rest=pod["cores at rest, pod"],
        batch=pod["ms per batch, pod"] / 1e3,
        row=pod["µs per row, pod"] / 1e6,
        database_batch=pod["ms per batch, PostgreSQL"] / 1e3,
        database_row=pod["µs per row, PostgreSQL"] / 1e6,
    )
    return Consumers(costs, start=pod["second pod shares, s"], leave=pod["one pod is left, s"])


def figures_of(outcome: Outcome, day: Day) -> Point:
    """Return what `bench demanda` measures of a day, too, and more."""
    hours = HOURS / day.seconds
    return {
        "row, p50, ms": 1_000 * float(np.percentile(outcome.waits, 50)),
        "row, p99, ms": 1_000 * float(np.percentile(outcome.waits, 99)),
        "row, max, ms": 1_000 * float(outcome.waits.max()),
        "greatest lag": float(outcome.greatest_lag),
        "most pods": float(max(pods for _, _, pods in outcome.series)),
        "process-hours": outcome.pod_seconds * hours,
        "CPU-seconds of pods": outcome.cpu,
        "batches": float(outcome.batches),
        "hours until nothing waited": max(0.0, outcome.ended - day.seconds) * hours,
    }


def check_cluster(trials: Mapping[str, Any]) -> dict[str, tuple[float, float]]:
    """Return prediction and measurement of the peak that real KEDA met on a real Kubernetes.

    Nothing of that trial is used: a pod's start is that of the trial from zero, its costs are those
    of `bench mensajes`, and its number is KEDA's.
    """
    keda, peak = read_keda(), trials["peak"]
    rule = Rule(keda.threshold, keda.least, keda.most, CLUSTER_SYNC, CLUSTER_STABLE)
    consumers = Consumers(unlimited_costs(), start=start_in_kubernetes(trials), leave=0.0)
    sales = at_once(PEAK, VENTAS.partitions, CLUSTER_SECONDS)
    outcome = Simulation(sales, Policy("peak", 0, rule), consumers, lambda _: 0.0, every=0.1).run()
    most = max(pods for _, _, pods in outcome.series)
    after = [moment for moment, lag, _ in outcome.series if lag]
    one = [moment for moment, _, pods in outcome.series if pods > 1]
    second = [moment for moment, _, pods in outcome.series if pods >= 2]
    return {
        "most pods": (most, peak["most pods"]),
        "second pod started, s": (second[0], peak["second pod started, s"]),
        "lag gone, s": (after[-1], peak["lag gone, s"]),
        "back to one pod, s": (one[-1], peak["back to one pod, s"]),
    }


def start_in_kubernetes(trials: Mapping[str, Any]) -> float:
    """Return how long a pod took to its readiness."""
    start: float = trials["from zero"]["after the form: the pod is ready, s"]
    return start - float(trials["from zero"]["after the form: a pod exists, s"])


def unlimited_costs() -> Costs:
    """Fit the costs of a pod with a core of its own to `bench mensajes`, by relative error."""
    points = read("mensajes-lote")["points"]
    fitted = []
    for part in ("contabilidad", "PostgreSQL"):
        used = np.array([point[f"CPU per row, {part}, µs"] for point in points]) / 1e6
        parts = np.array([[1 / point["batch"], 1.0] for point in points])
        solution, _ = nnls(parts / used[:, None], np.ones(len(points)))
        fitted.append(solution)
    (batch, row), (database_batch, database_row) = fitted
    return Costs(1.0, 0.0, batch, row, database_batch, database_row)


def large_consumers(costs: Costs, trials: Mapping[str, Any], measured: Mapping[str, Any]) -> Consumers:
    """Return pods of Kubernetes: the start that it measured, and the leave that `demanda` did."""
    return Consumers(costs, start_in_kubernetes(trials), measured["also"]["pod: one pod is left, s"], step=LARGE_STEP)


def large_days(maestros: int, consumers: Consumers, seed: int) -> Iterator[tuple[str, Point, list[Point]]]:
    """Yield each policy's figures and series for 24 h with Kubernetes' own seconds.

    In the afternoon of 35 °C each maestro sells every six seconds. There is one replication: with
    so many sales, chance changes nothing.
    """
    day = Day(DAY_SECONDS, maestros / MEAN_SECONDS / HEAT)
    partitions = partitions_of(maestros)
    sales = of_day(day, partitions, LARGE_STEP, seed, OTHERS)
    for policy in large_policies(day, consumers.costs.capacity(consumers.most), partitions):
        outcome = Simulation(sales, policy, consumers, day.hour, every=LARGE_NOTE).run()
        series: list[Point] = [
            {"hour": moment * HOURS / DAY_SECONDS, "lag": lag, "pods": pods} for moment, lag, pods in outcome.series
        ]
        yield policy.name, figures_of(outcome, day) | {"accepted": outcome.rows}, series


def partitions_of(maestros: int) -> int:
    """Return how many partitions `bench modelo` gives to sales."""
    return int(read("modelo")["also"][f"{maestros:,} maestros: partitions of {VENTAS.name}"])


def large_policies(day: Day, capacity: float, partitions: int) -> list[Policy]:
    """Return the four policies with the project's own threshold, and as many pods as partitions."""
    keda = read_keda()
    by_lag = Rule(keda.threshold, keda.least, partitions, SYNC_SECONDS, STABLE_SECONDS)
    return [
        Policy(FOR_THE_MEAN, pods_for(day.mean, capacity, partitions)),
        Policy(FOR_THE_PEAK, pods_for(day.most, capacity, partitions)),
        Policy(BY_LAG, keda.least, by_lag),
        Policy(BY_LAG_AND_HOUR, keda.least, replace(by_lag, cron=keda.cron)),
    ]
