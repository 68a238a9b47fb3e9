"""The plot of `./dev cluster`: a peak that KEDA answers, and contabilidad doubled under load."""

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.plots.style import COLOURS, LINES

Series = list[dict[str, float]]


def draw(result: dict[str, Any]) -> Figure:
    """Return the figure: waiting sales above, processes below; the peak left, doubling right."""
    figure = Figure(figsize=(11, 5), layout="constrained")
    (peak, doubling), (pods, members) = figure.subplots(2, 2, sharex="col")
    trials = result["trials"]
    _lag(peak, trials["peak"]["series"], "Un peak, y lo que hace KEDA")
    _steps(pods, trials["peak"]["series"], {"pods": "pods", "listos": "ready"})
    _lag(doubling, trials["doubling"]["series"], "Contabilidad de 1 a 4 pods, de 6 a 12 particiones")
    _steps(members, trials["doubling"]["series"], {"miembros": "members", "particiones": "partitions"})
    for axes in (doubling, members):
        _shade(axes, trials["doubling"]["series"])
    for axes in (peak, doubling, pods, members):
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
    return figure


def _lag(axes: Axes, series: Series, title: str) -> None:
    axes.plot([one["s"] for one in series], [one["lag"] for one in series], color=COLOURS[0])
    axes.set(ylabel="ventas en espera", title=title)


def _steps(axes: Axes, series: Series, shown: dict[str, str]) -> None:
    for (label, key), colour, line in zip(shown.items(), COLOURS, LINES, strict=False):
        figures = [one[key] for one in series]
        axes.step([one["s"] for one in series], figures, where="post", color=colour, linestyle=line, label=label)
    axes.set(xlabel="segundos")
    axes.legend(fontsize="small")


def _shade(axes: Axes, series: Series) -> None:
    """Shade the moments in which partitions are on the move."""
    moving = [not one["sharing"] for one in series]
    everywhere = axes.get_xaxis_transform()
    label = "particiones en movimiento"
    seconds = [one["s"] for one in series]
    axes.fill_between(
        seconds, 0, 1, where=moving, step="post", transform=everywhere, color=COLOURS[4], alpha=0.3, label=label
    )
    axes.legend(fontsize="small")
