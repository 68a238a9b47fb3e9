"""The plot of `bench simulacion`: predicted against measured, and a large guild's day."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.openloop.summary import Point
from bench.plots.demanda import HOURS_SHOWN
from bench.plots.mensajes import thousands
from bench.plots.style import COLOURS, LINES, MARKERS

POLICIES: Final = ("fijo para la media", "fijo para el máximo", "por atraso", "por atraso y hora")
FIGURES: Final = {
    "row, p99, ms": "p99 de aceptada a fila",
    "greatest lag": "mayor atraso",
    "process-hours": "horas de proceso",
    "CPU-seconds of pods": "segundos de CPU",
    "batches": "transacciones",
}
KEDA_FIGURES: Final = {
    "most pods": "KEDA: más procesos",
    "second pod started, s": "KEDA: parte el segundo",
    "lag gone, s": "KEDA: nada espera",
    "back to one pod, s": "KEDA: queda uno",
}


def draw(result: Mapping[str, Any]) -> Figure:
    """Return the figure: the check on the left, the largest guild's day on the right."""
    figure = Figure(figsize=(10, 4.4), layout="constrained")
    grid = figure.add_gridspec(2, 2)
    _check(figure.add_subplot(grid[:, 0]), result["rounds"])
    largest = max(point["maestros"] for point in result["points"])
    points = [point for point in result["points"] if point["maestros"] == largest]
    lag, pods = figure.add_subplot(grid[0, 1]), figure.add_subplot(grid[1, 1])
    lag.set_title(f"Un día de {thousands(largest)} maestros, simulado")
    _day(lag, points, "lag", "ventas en espera")
    lag.set_yscale("symlog", linthresh=1e5)
    lag.set_ylim(bottom=0)
    _day(pods, points, "pods", "procesos")
    pods.set(xlabel="hora del día", ylim=(0, None))
    pods.legend(fontsize="x-small", loc="upper left")
    return figure


def _check(axes: Axes, pairs: Mapping[str, Sequence[float]]) -> None:
    """Draw how many times what was measured is what was predicted; at 1 they are the same."""
    for place, (name, colour, marker) in enumerate(zip(POLICIES, COLOURS, MARKERS, strict=False)):
        shift = 0.12 * (place - 1.5)  # markers at one place would hide each other
        ratios = [_ratio(pairs[f"{name}: {figure}"]) for figure in FIGURES]
        rows = [row + shift for row in range(len(FIGURES))]
        axes.plot(ratios, rows, color=colour, marker=marker, linestyle="none", label=name)
    ratios = [_ratio(pairs[f"KEDA: {figure}"]) for figure in KEDA_FIGURES]
    rows = [float(len(FIGURES) + row) for row in range(len(KEDA_FIGURES))]
    axes.plot(ratios, rows, color=COLOURS[6], marker="*", linestyle="none", markersize=9, label="KEDA en Kubernetes")
    labels = [*FIGURES.values(), *KEDA_FIGURES.values()]
    axes.set_yticks(range(len(labels)), labels)
    axes.invert_yaxis()
    axes.axvline(1, color="0.3", linewidth=0.8)
    axes.set(xscale="log", xlabel="predicho / medido", title="La simulación y lo medido")
    axes.set_xlim(*_around(axes.get_xlim()))
    ticks = [tick for tick in (0.1, 0.2, 0.5, 1, 2, 5, 10) if axes.get_xlim()[0] <= tick <= axes.get_xlim()[1]]
    axes.set_xticks(ticks, [f"{tick:g}".replace(".", ",") for tick in ticks])
    axes.set_xticks([], minor=True)
    axes.grid(alpha=0.3)
    axes.legend(fontsize="x-small", loc="best")


def _ratio(pair: Sequence[float]) -> float:
    predicted, measured = pair
    return predicted / measured


def _around(limits: tuple[float, float]) -> tuple[float, float]:
    """Return limits that show half and double at least."""
    return min(limits[0], 0.45), max(limits[1], 2.2)


def _day(axes: Axes, points: Sequence[Point], key: str, label: str) -> None:
    for index, (name, colour, line) in enumerate(zip(POLICIES, COLOURS, LINES, strict=False)):
        there = [point for point in points if point["policy"] == index and point["hour"] <= HOURS_SHOWN[-1]]
        hours, figures = [point["hour"] for point in there], [point[key] for point in there]
        axes.step(hours, figures, where="post", color=colour, linestyle=line, label=name)
    axes.set_xticks(HOURS_SHOWN, [f"{hour:02d}:00" for hour in HOURS_SHOWN], fontsize="small")
    axes.set(ylabel=label, xlim=(0, 24))
    axes.grid(alpha=0.3)
