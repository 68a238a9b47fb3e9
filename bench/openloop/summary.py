"""What the steps of an open load say together: the knee, and why the next step is too much."""

from collections.abc import Sequence
from math import inf
from statistics import median
from typing import Final

from bench.result import machine_cores

MOST_ANSWER_MS: Final = 250.0  # p99 of the answers of a step that is carried
MOST_ROW_MS: Final = 2_000.0  # p99 from the 202 to the row
LEAST_SHARE: Final = 0.98  # of what was asked that is accepted
CPU_OF: Final = "CPU per sale, "
GENERATOR: Final = "load generator's cores"

Point = dict[str, float]


def is_carried(point: Point) -> bool:
    """Return True if nearly all of the step's sales were accepted, answered and written in time."""
    return (
        point["accepted per second"] >= LEAST_SHARE * point["asked per second"]
        and point.get("answer, p99", inf) <= MOST_ANSWER_MS
        and point.get("row, p99", inf) <= MOST_ROW_MS
    )


def medians(points: Sequence[Point]) -> list[Point]:
    """Return one point per rate, the lowest first: each figure's median of the rounds."""
    rates = sorted({point["rate"] for point in points})
    by_rate = ([point for point in points if point["rate"] == rate] for rate in rates)
    return [{name: median(one.get(name, 0.0) for one in each) for name in each[0]} for each in by_rate]


def knee(steps: Sequence[Point]) -> Point | None:
    """Return the last step before the first that is not carried."""
    carried = None
    for step in steps:
        if not is_carried(step):
            return carried
        carried = step
    return carried


def reason(steps: Sequence[Point], last: Point | None) -> str:
    """Say why the step after the knee is not carried: how full the cores are, and of what."""
    after = next((step for step in steps if last is None or step["rate"] > last["rate"]), None)
    if after is None:
        return "No step was too much: the knee lies above the greatest rate."
    full = (after["cores"] + after[GENERATOR]) / machine_cores()
    prefix = "CPU per sale, "
    parts = sorted(
        ((ms, name.removeprefix(prefix)) for name, ms in after.items() if name.startswith(prefix)), reverse=True
    )
    shares = ", ".join(f"{name} {100 * ms / after['CPU per sale']:.0f} %" for ms, name in parts[:4])
    return (
        f"At {after['rate']:g}/s {100 * full:.0f} % of {machine_cores()} cores were used, "
        f"{100 * after[GENERATOR] / machine_cores():.0f} % by the load generator; of the system's share: {shares}."
    )
