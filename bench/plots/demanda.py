"""The plot of `bench demanda`: four policies on one time axis, and what each one paid."""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any, Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.openloop.summary import Point
from bench.plots.mensajes import thousands
from bench.plots.style import COLOURS, HATCHES, LINES

HOURS_SHOWN: Final = range(0, 25, 3)
LAGS_SHOWN: Final = (0, 1_000, 10_000, 100_000)
PAID: Final = {
    "process-hours": "horas de proceso",
    "CPU-seconds of pods": "segundos de CPU de los procesos",
    "GB-hours": "GB·h de memoria",
}


def draw(result: Mapping[str, Any]) -> Figure:
    """Return the figure: the first round's time axis on the left, what was paid on the right."""
    figure = Figure(figsize=(10, 6.4), layout="constrained")
    [[left, right]] = figure.subfigures(1, 2, squeeze=False, width_ratios=(2, 1))
    axes = left.subplots(4, 1, sharex=True)
    names = list(result["rounds"])
    first = min(point["round"] for point in result["points"])
    series = {name: _series(result["points"], first, index) for index, name in enumerate(names)}
    _accepted(axes[0], series[names[0]], result["settings"])
    _lines(axes[1], series, "lag", "ventas\nen espera")
    axes[1].set_yscale("symlog", linthresh=1_000)
    axes[1].set_yticks(LAGS_SHOWN, [thousands(lag) for lag in LAGS_SHOWN])
    axes[1].set_ylim(bottom=0)
    _lines(axes[2], series, "row, p99, ms", "de aceptada\na fila, p99, s")
    axes[2].set_yscale("log")
    axes[2].yaxis.set_major_formatter(lambda value, _: f"{value / 1_000:g}".replace(".", ","))
    _lines(axes[3], series, "pods", "procesos")
    for each in axes:
        each.grid(alpha=0.3)
    axes[3].set_xticks(HOURS_SHOWN, [f"{hour:02d}:00" for hour in HOURS_SHOWN])
    axes[3].set(xlabel="hora del día", xlim=(0, 24), ylim=(0, None))
    axes[0].legend(*axes[1].get_legend_handles_labels(), fontsize="small", ncols=2, loc="upper left")
    for each, (key, label) in zip(right.subplots(len(PAID), 1), PAID.items(), strict=True):
        _paid(each, result, names, key, label)
    return figure


def _series(points: Sequence[Point], number: float, policy: int) -> list[Point]:
    return [one for one in points if one["round"] == number and one.get("policy") == policy and "s" in one]


def _accepted(axes: Axes, series: Sequence[Point], settings: Mapping[str, Any]) -> None:
    hours, rates = _within_the_day(series, "accepted per second")
    axes.fill_between(hours, rates, color="0.75", step="pre")
    axes.axhline(settings["mean, sales per second"], color="0.3", linestyle=":")
    axes.annotate("media", (0.1, settings["mean, sales per second"] * 1.2), fontsize="small")
    axes.set(ylabel="ventas aceptadas\npor segundo", ylim=(0, None))
    axes.yaxis.set_major_formatter(lambda value, _: thousands(value))


def _within_the_day(series: Sequence[Point], key: str) -> tuple[list[float], list[float]]:
    """Return hours and figures of the day itself: what waits at midnight is told in the table."""
    there = [(point["hour"], point[key]) for point in series if key in point and point["hour"] <= HOURS_SHOWN[-1]]
    return [hour for hour, _ in there], [value for _, value in there]


def _lines(axes: Axes, series: Mapping[str, Sequence[Point]], key: str, label: str) -> None:
    for (name, each), colour, line in zip(series.items(), COLOURS, LINES, strict=False):
        axes.step(*_within_the_day(each, key), where="post", color=colour, linestyle=line, label=name)
    axes.set_ylabel(label)
    axes.yaxis.set_major_formatter(lambda value, _: thousands(value))


def _paid(axes: Axes, result: Mapping[str, Any], names: Sequence[str], key: str, label: str) -> None:
    """Draw the median of the rounds by policy, and a line from the least to the greatest."""
    for place, name in enumerate(names):
        each = [one[key] for one in result["points"] if one.get("policy") == place and key in one]
        middle = median(each)
        axes.barh(
            place,
            middle,
            0.45,
            xerr=[[middle - min(each)], [max(each) - middle]],
            color=COLOURS[place],
            hatch=HATCHES[place],
            edgecolor="white",
            capsize=3,
        )
        axes.annotate(name, (0, place - 0.28), fontsize="small", xytext=(3, 0), textcoords="offset points")
    axes.set_yticks([])
    axes.set_ylim(len(names) - 0.5, -0.8)  # the first one above
    axes.set_xlabel(label)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}".replace(".", ","))
    axes.grid(alpha=0.3, axis="x")
