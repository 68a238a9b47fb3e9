"""The plot of `bench carga`: times and CPU per sale, by accepted sales per second."""

from collections.abc import Sequence
from typing import Any, Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.openloop.summary import CPU_OF, MOST_ANSWER_MS, MOST_ROW_MS, Point, medians
from bench.plots.style import COLOURS, HATCHES, LINES, MARKERS

TIMES: Final = {
    "respuesta, mediana": "answer, p50",
    "respuesta, p99": "answer, p99",
    "de la respuesta a la fila, p99": "row, p99",
    "del aviso al carro lleno, p99": "restock, p99",
}
NAMES: Final = {"web": "web", "postgresql": "PostgreSQL", "kafka": "Kafka", "outbox-relay": "relay"}
SHOWN: Final = 6  # processes by name; the others are one part


def draw(result: dict[str, Any]) -> Figure:
    """Return the figure: times on the left, CPU per sale on the right."""
    steps = medians(result["points"])
    figure = Figure(figsize=(9, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    _times(left, steps)
    _cpu(right, steps)
    return figure


def _times(axes: Axes, steps: Sequence[Point]) -> None:
    sold = [step["accepted per second"] for step in steps]
    for (label, key), colour, line, marker in zip(TIMES.items(), COLOURS, LINES, MARKERS, strict=False):
        there = [(rate, step[key]) for rate, step in zip(sold, steps, strict=True) if key in step]
        if there:
            axes.plot(*zip(*there, strict=True), color=colour, linestyle=line, marker=marker, label=label)
    axes.axhline(MOST_ANSWER_MS, color="0.4", linewidth=0.8)
    axes.axhline(MOST_ROW_MS, color="0.4", linewidth=0.8)
    for limit, text in ((MOST_ANSWER_MS, "límite de la respuesta"), (MOST_ROW_MS, "límite de la fila")):
        axes.annotate(text, (0, limit), xytext=(2, 2), textcoords="offset points", xycoords=("axes fraction", "data"))
    axes.set(yscale="log", xlabel="ventas aceptadas por segundo", ylabel="ms", title="Tiempos según la carga")
    axes.set_xlim(left=0)
    axes.grid(alpha=0.3)
    axes.set_ylim(bottom=axes.get_ylim()[0] / 4)  # room for the legend below the lines
    axes.legend(fontsize="small", ncols=2, loc="lower center")


def _cpu(axes: Axes, steps: Sequence[Point]) -> None:
    parts = sorted((key for key in steps[0] if key.startswith(CPU_OF)), key=lambda key: -steps[0][key])
    rest = {"otros": parts[SHOWN:]} if parts[SHOWN:] else {}
    shown = {_named(key): [key] for key in parts[:SHOWN]} | rest
    base = [0.0] * len(steps)
    for (label, keys), colour, hatch in zip(shown.items(), COLOURS, HATCHES, strict=False):
        heights = [sum(step[key] for key in keys) for step in steps]
        axes.bar(range(len(steps)), heights, bottom=base, color=colour, hatch=hatch, edgecolor="white", label=label)
        base = [low + height for low, height in zip(base, heights, strict=True)]
    axes.set_xticks(range(len(steps)), [f"{step['rate']:g}" for step in steps])
    axes.set(xlabel="ventas por segundo", ylabel="ms de CPU por venta", title="Lo que cuesta una venta")
    axes.legend(fontsize="small")


def _named(key: str) -> str:
    name = key.removeprefix(CPU_OF)
    return NAMES.get(name, name.removeprefix("consumer-"))
