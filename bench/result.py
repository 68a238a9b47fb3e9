"""The result of a benchmark: figures per contender and round, and the one ratio that matters."""

import json
import os
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median, quantiles
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

RESULTS = Path(os.environ.get("BENCH_RESULTS") or Path(__file__).parent / "results")

# Whose versions a result names.
PACKAGES = ("django", "confluent-kafka", "psycopg", "gunicorn")

# Prints a line of progress.
Say = Callable[[str], None]


@dataclass(frozen=True)
class Result:
    """The figures of a benchmark.

    `rounds` has one figure per round in `unit`, by contender. `ratio` is what --assert-ratio
    compares; higher is better. `also` has other figures by name, with their unit in the name.
    `points` has what was measured at each setting, and `settings` what was set for the whole run.
    """

    name: str
    question: str
    unit: str
    rounds: dict[str, list[float]]
    ratio: float
    ratio_means: str
    also: dict[str, float] = field(default_factory=dict)
    points: list[dict[str, float]] = field(default_factory=list)
    settings: dict[str, float | str] = field(default_factory=dict)

    @property
    def medians(self) -> dict[str, float]:
        """Return one figure per contender; the median, because machines are noisy."""
        return {name: median(figures) for name, figures in self.rounds.items()}

    def show(self, console: Console) -> None:
        """Print the table."""
        table = Table(title=self.question, title_justify="left")
        table.add_column("contender")
        table.add_column(f"median, {self.unit}", justify="right")
        table.add_column(f"rounds, {self.unit}", justify="right")
        for name, figures in self.rounds.items():
            table.add_row(name, f"{self.medians[name]:,.1f}", "  ".join(f"{figure:,.0f}" for figure in figures))
        console.print(table)
        for name, figure in self.also.items():
            console.print(f"{name}: {figure:,.1f}")
        console.print(f"[bold]{self.ratio_means}: {self.ratio:.2f}[/bold]")

    def write(self) -> Path:
        """Write the figures as JSON, with the machine and the time; return the path."""
        RESULTS.mkdir(exist_ok=True)
        path = RESULTS / f"{self.name}.json"
        origin = {
            "measured_at": datetime.now(UTC).isoformat(),
            "machine": platform.platform(),
            "cores": machine_cores(),
            "python": platform.python_version(),
            "versions": {name: version(name) for name in PACKAGES},
        }
        path.write_text(
            json.dumps(asdict(self) | {"medians": self.medians} | origin, indent=2, ensure_ascii=False) + "\n"
        )
        return path


def machine_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0))


def p99(times: Sequence[float]) -> float:
    return quantiles(times, n=100)[98]


def plot_distribution(name: str, times: Mapping[str, Sequence[float]], *, title: str, x: str, y: str) -> None:
    """Write bench/results/NAME.svg: by contender, the share of times up to each duration (ms)."""
    with _plot(name, title=title, xlabel=x, ylabel=y) as axes:
        for label, each in times.items():
            axes.plot(sorted(each), [(rank + 1) / len(each) for rank in range(len(each))], label=label)


def plot_lines(name: str, lines: Mapping[str, Mapping[int, float]], *, title: str, x: str, y: str) -> None:
    """Write bench/results/NAME.svg: a line per contender through its figure at each point."""
    with _plot(name, title=title, xlabel=x, ylabel=y) as axes:
        for label, figures in lines.items():
            axes.plot(list(figures), list(figures.values()), marker="o", label=label)
        points = sorted({point for figures in lines.values() for point in figures})
        axes.set_xticks(points, [f"{point:g}" for point in points])
        axes.set_ylim(bottom=0)


def write_svg(figure: "Figure", path: Path) -> None:
    """Write the figure: the same figure always gives the same bytes.

    So a commit shows a plot as changed only if its figures have changed. Without a salt, the ids
    inside of an SVG are random, and by default it has the date.
    """
    import matplotlib

    path.parent.mkdir(exist_ok=True)
    with matplotlib.rc_context({"svg.hashsalt": path.stem}):
        figure.savefig(path, metadata={"Date": None})


@contextmanager
def _plot(name: str, **labels: str) -> "Iterator[Axes]":
    """Write what the block draws to bench/results/NAME.svg; the x axis is logarithmic."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot(xscale="log", **labels)
    yield axes
    axes.grid(alpha=0.3)
    axes.legend()
    write_svg(figure, RESULTS / f"{name}.svg")
