"""The plots of `bench mensajes`: throughput and times, by the factor that is varied."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.openloop.summary import Point
from bench.plots.style import COLOURS, LINES, MARKERS

ROWS: Final = {"consumidor, filas": "rows per second"}
PUBLISHED: Final = {
    "64 publicadores, que esperan su acuse": "acknowledged per second, 64 at once",
    "un productor que no espera": "acknowledged per second",
}
NEW_SALE: Final = {
    "publicar, mediana": "publish, p50",
    "publicar, p99": "publish, p99",
    "de publicada a fila, mediana": "row, p50",
    "de publicada a fila, p99": "row, p99",
}


@dataclass(frozen=True)
class Kind:
    """What a factor's plot shows: its name, the label of a setting, and the series."""

    name: str
    label: Callable[[Point], str]
    rates: Mapping[str, str] = field(default_factory=lambda: ROWS)
    times: Mapping[str, str] = field(default_factory=lambda: NEW_SALE)


def thousands(number: float) -> str:
    """Return a whole number as it is written in Chile."""
    return f"{number:,.0f}".replace(",", ".")


def _size(point: Point) -> str:
    return f"{thousands(point['bytes per message'])} B"


def _waiting(point: Point) -> str:
    millions = point["waiting"] / 1e6
    if millions >= 1:
        return f"{millions:g} millones" if millions > 1 else "1 millón"
    return f"{point['waiting'] / 1e3:g} mil"


def _brokers(point: Point) -> str:
    if point["brokers"] == 1:
        return "uno\nacks=all"
    acks = "all" if point["acks"] < 0 else f"{point['acks']:g}"
    return f"tres\nacks={acks}\nmínimo {point['insync']:g}"


def _cache(point: Point) -> str:
    return f"{point['memory_mb']:g} MB" if point["memory_mb"] else "sin límite"


KINDS: Final[dict[str, Kind]] = {
    "esperando": Kind(
        "ventas que esperan",
        _waiting,
        times={
            "a fila, detrás de todas": "row behind those that wait",
            "a fila, después (mediana)": "row, p50",
            "publicar, mientras esperan": "publish while they wait, p50",
            "publicar, después (mediana)": "publish, p50",
        },
    ),
    "tamano": Kind("tamaño del mensaje", _size),
    "lote": Kind("mensajes por transacción, a lo más", lambda point: thousands(point["batch"])),
    "particiones": Kind("particiones", lambda point: f"{point['partitions']:g}", ROWS | PUBLISHED),
    "consumidores": Kind("procesos de contabilidad", lambda point: f"{point['consumers']:g}"),
    "brokers": Kind("brokers, acks y min.insync.replicas", _brokers, ROWS | PUBLISHED),
    "linger": Kind("linger.ms del productor", lambda point: f"{point['linger_ms']:g}", ROWS | PUBLISHED),
    "cache": Kind("memoria del broker para 1.065 MB de mensajes", _cache),
}


def drawer(factor: str) -> Callable[[dict[str, Any]], Figure]:
    """Return the function that draws a result of this factor."""
    return lambda result: _draw(KINDS[factor], result["points"])


def by_setting(points: Sequence[Point]) -> list[list[Point]]:
    """Return the points of each setting, in the order of the settings."""
    numbers = sorted({point["setting"] for point in points})
    return [[point for point in points if point["setting"] == number] for number in numbers]


def _draw(kind: Kind, points: Sequence[Point]) -> Figure:
    figure = Figure(figsize=(9, 3), layout="constrained")
    rates, times = figure.subplots(1, 2)
    settings = by_setting(points)
    _series(rates, settings, kind.rates)
    rates.set(ylabel="throughput, por segundo", xlabel=kind.name)
    rates.set_ylim(bottom=0)
    rates.yaxis.set_major_formatter(lambda value, _: thousands(value))
    _series(times, settings, kind.times)
    times.set(yscale="log", ylabel="latencia, ms", xlabel=kind.name)
    times.yaxis.set_major_formatter(lambda value, _: thousands(value) if value >= 1 else f"{value:g}".replace(".", ","))
    for axes in (rates, times):
        axes.set_xticks(range(len(settings)), [kind.label(each[0]) for each in settings])
        axes.grid(alpha=0.3)
        axes.legend(fontsize="small", ncols=2, frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    return figure


def _series(axes: Axes, settings: Sequence[Sequence[Point]], series: Mapping[str, str]) -> None:
    """Draw a line through the medians of each series, with bars over the rounds."""
    for (name, key), colour, line, marker in zip(series.items(), COLOURS, LINES, MARKERS, strict=False):
        figures = [[point[key] for point in each if key in point] for each in settings]
        there = [(place, each) for place, each in enumerate(figures) if each]
        middles = [median(each) for _, each in there]
        below = [middle - min(each) for middle, (_, each) in zip(middles, there, strict=True)]
        above = [max(each) - middle for middle, (_, each) in zip(middles, there, strict=True)]
        places = [place for place, _ in there]
        axes.errorbar(
            places, middles, [below, above], color=colour, linestyle=line, marker=marker, capsize=3, label=name
        )
