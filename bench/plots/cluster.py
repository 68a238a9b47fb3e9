"""The plot of `./dev cluster`: pods of contabilidad and waiting sales after a peak."""

from typing import Any

from matplotlib.figure import Figure

from bench.plots.style import COLOURS, LINES


def draw(result: dict[str, Any]) -> Figure:
    """Return the figure: waiting sales above, pods below, by seconds since KEDA decides."""
    series = result["trials"]["peak"]["series"]
    seconds = [one["s"] for one in series]
    figure = Figure(figsize=(7, 5), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True)
    above.plot(seconds, [one["lag"] for one in series], color=COLOURS[0])
    above.set(ylabel="ventas en espera", title="Un peak, y lo que KEDA hace con contabilidad")
    for (label, key), colour, line in zip((("pods", "pods"), ("listos", "ready")), COLOURS, LINES, strict=False):
        below.step(seconds, [one[key] for one in series], where="post", color=colour, linestyle=line, label=label)
    below.set(xlabel="segundos", ylabel="procesos")
    below.legend(fontsize="small")
    for axes in (above, below):
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
    return figure
