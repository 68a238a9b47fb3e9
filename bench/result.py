"""What a benchmark found: rates or times of its contenders, round by round, and the one ratio that it is about."""

import json
import platform
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Result:
    """`rounds`: by contender, one figure a round in `unit`. `ratio` is what --assert-ratio compares, higher is better.

    `also`: what else was measured, by its name with its unit.
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
        """One figure a contender: machines are noisy, rounds alternate."""
        return {name: median(figures) for name, figures in self.rounds.items()}

    def show(self, console: Console) -> None:
        """The table that a person reads."""
        table = Table(title=self.question, title_justify="left")
        table.add_column("contender")
        table.add_column(f"median, {self.unit}", justify="right")
        table.add_column("rounds", justify="right")
        for name, figures in self.rounds.items():
            table.add_row(name, f"{self.medians[name]:,.1f}", "  ".join(f"{figure:,.0f}" for figure in figures))
        console.print(table)
        for name, figure in self.also.items():
            console.print(f"{name}: {figure:,.1f}")
        console.print(f"[bold]{self.ratio_means}: {self.ratio:.2f}[/bold]")

    def write(self) -> Path:
        """JSON with the machine and the moment, for plots and comparisons."""
        RESULTS.mkdir(exist_ok=True)
        path = RESULTS / f"{self.name}.json"
        facts = {
            "measured_at": datetime.now(UTC).isoformat(),
            "machine": platform.platform(),
            "python": platform.python_version(),
        }
        path.write_text(
            json.dumps(asdict(self) | {"medians": self.medians} | facts, indent=2, ensure_ascii=False) + "\n"
        )
        return path
