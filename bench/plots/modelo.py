"""The plot of `bench modelo`: the law against what was measured, and the cores that guilds need."""

from typing import Any, Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from bench.plots.style import COLOURS, HATCHES, MARKERS

SIZES: Final = (1_000, 10_000, 100_000, 1_000_000)
PARTS: Final = {
    "web": "web",
    "Kafka": "Kafka, tres réplicas",
    "PostgreSQL": "PostgreSQL",
    "distribuidores": "distribuidores",
    "inventario": "inventario",
    "contabilidad": "contabilidad",
    "relay": "relay",
}


def draw(result: dict[str, Any]) -> Figure:
    """Return the figure: the law on the left, the cores on the right."""
    figure = Figure(figsize=(9, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    _law(left, result)
    _cores(right, result)
    return figure


def _law(axes: Axes, result: dict[str, Any]) -> None:
    curve = [point for point in result["points"] if "ms" in point]
    measured = [point for point in result["points"] if "measured ms" in point]
    rates = [point["rate"] for point in curve]
    axes.fill_between(
        rates,
        [point["ms, low"] for point in curve],
        [point["ms, high"] for point in curve],
        color=COLOURS[0],
        alpha=0.2,
        label="intervalo de 95 %",
    )
    axes.plot(rates, [point["ms"] for point in curve], color=COLOURS[0], label="ley ajustada")
    axes.plot(
        [point["rate"] for point in measured],
        [point["measured ms"] for point in measured],
        linestyle="none",
        marker=MARKERS[0],
        color=COLOURS[1],
        label="medido, cada ronda",
    )
    held_out = next(name for name in result["rounds"] if name.startswith("check, all at "))
    predicted, low, high = (result["also"][f"{held_out}: predicted{end}"] for end in ("", ", low", ", high"))
    rate = float(held_out.removeprefix("check, all at ").removesuffix("/s"))
    axes.errorbar(
        [rate],
        [predicted],
        yerr=[[predicted - low], [high - predicted]],
        fmt=MARKERS[2],
        color=COLOURS[6],
        capsize=4,
        label="predicho sin ese ritmo",
    )
    axes.set(xscale="log", yscale="log", xlabel="ventas por segundo", ylabel="ms de CPU por venta, todos los procesos")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_minor_formatter(FuncFormatter(lambda value, _: f"{value:g}" if str(value)[0] in "25" else ""))
    axes.set_title("La ley del costo y lo medido")
    axes.grid(alpha=0.3, which="both")
    axes.legend(fontsize="small")


def _cores(axes: Axes, result: dict[str, Any]) -> None:
    width = 0.8 / len(PARTS)
    for place, (part, label) in enumerate(PARTS.items()):
        names = [f"{size:,} maestros: cores of {part}" for size in SIZES]
        values = [result["also"][name] for name in names]
        ends = [
            [value - result["also"][f"{name}, low"] for name, value in zip(names, values, strict=True)],
            [result["also"][f"{name}, high"] - value for name, value in zip(names, values, strict=True)],
        ]
        axes.bar(
            [index + (place - len(PARTS) / 2 + 0.5) * width for index in range(len(SIZES))],
            values,
            width,
            yerr=ends,
            color=COLOURS[place],
            hatch=HATCHES[place],
            edgecolor="white",
            capsize=2,
            label=label,
        )
    given = result["settings"]
    limit = given["cores of a database"] * given["share of cores used"]
    axes.axhline(limit, color="0.3", linewidth=0.8, linestyle="--")
    axes.annotate(f"una base de {given['cores of a database']} núcleos", (-0.45, limit * 1.1), fontsize="small")
    axes.set_xticks(range(len(SIZES)), [f"{size:,}".replace(",", ".") for size in SIZES])
    axes.set(yscale="log", xlabel="maestros que venden a la vez", ylabel="núcleos ocupados")
    axes.set_title("Lo que pide cada parte")
    axes.grid(alpha=0.3, axis="y")
    axes.set_ylim(top=60 * axes.get_ylim()[1])  # room for the legend above the bars
    axes.legend(fontsize="small", ncols=2, loc="upper left")
