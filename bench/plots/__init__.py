"""`./dev bench plot`: the plots of results, drawn from the JSON in bench/results alone."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from matplotlib.figure import Figure

from bench.plots import carga, cluster, demanda, mensajes, modelo, simulacion
from bench.result import RESULTS, write_svg

DRAWN_BY: Final[dict[str, Callable[[dict[str, Any]], Figure]]] = {
    "carga": carga.draw,
    "carga-3-brokers": carga.draw,
    "cluster": cluster.draw,
    "demanda": demanda.draw,
    **{f"mensajes-{factor}": mensajes.drawer(factor) for factor in mensajes.KINDS},
    "modelo": modelo.draw,
    "simulacion": simulacion.draw,
}


def plot(folder: Path = RESULTS) -> list[Path]:
    """Draw the plot of every result in the folder that has one; return the files."""
    drawn = []
    for name, draw in DRAWN_BY.items():
        source = folder / f"{name}.json"
        if source.exists():
            path = source.with_suffix(".svg")
            write_svg(draw(json.loads(source.read_text())), path)
            drawn.append(path)
    return drawn
