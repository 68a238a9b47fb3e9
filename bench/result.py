"""The result of a benchmark: figures per contender and round, and the one ratio that matters."""

import json
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median, quantiles

from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).parent / "results"

# Prints a line of progress.
Say = Callable[[str], None]


@dataclass(frozen=True)
class Result:
    """The figures of a benchmark.

    `rounds` has one figure per round in `unit`, by contender. `ratio` is what --assert-ratio
    compares; higher is better. `also` has other figures by name, with their unit in the name.
    """

    name: str
    question: str
    unit: str
    rounds: dict[str, list[float]]
    ratio: float
    ratio_means: str
    also: dict[str, float] = field(default_factory=dict)

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
            "python": platform.python_version(),
        }
        path.write_text(
            json.dumps(asdict(self) | {"medians": self.medians} | origin, indent=2, ensure_ascii=False) + "\n"
        )
        return path


def p99(times: Sequence[float]) -> float:
    return quantiles(times, n=100)[98]


def plot_distribution(name: str, times: Mapping[str, Sequence[float]], *, title: str, x: str, y: str) -> None:
    """Write bench/results/NAME.svg: by contender, the share of times up to each duration (ms)."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot(title=title, xlabel=x, ylabel=y, xscale="log")
    for label, each in times.items():
        axes.plot(sorted(each), [(rank + 1) / len(each) for rank in range(len(each))], label=label)
    axes.grid(alpha=0.3)
    axes.legend()
    RESULTS.mkdir(exist_ok=True)
    figure.savefig(RESULTS / f"{name}.svg")


def plot_lines(  # noqa: PLR0913 - a plot's parts
    name: str, points: Sequence[float], lines: Mapping[str, Sequence[float]], *, title: str, x: str, y: str
) -> None:
    """Write bench/results/NAME.svg: a line per contender through its figure at each point."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot(title=title, xlabel=x, ylabel=y, xscale="log")
    for label, each in lines.items():
        axes.plot(points, each, marker="o", label=label)
    axes.set_xticks(points, [f"{point:g}" for point in points])
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend()
    RESULTS.mkdir(exist_ok=True)
    figure.savefig(RESULTS / f"{name}.svg")
