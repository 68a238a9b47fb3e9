"""Plant each known bug in a copy, run its scenario there, and look whether the checker finds it.

The same scenarios on the tree as it is come first: there the checker must find nothing. Exit code 1
if it does, or if a bug stays hidden.
"""

import argparse
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from rich.console import Console
from rich.table import Table

from deploy.embedded.signals import interrupt_on_termination
from tests.chaos.checker.__main__ import in_words
from tests.chaos.checker.check import STATE, check_folder
from tests.chaos.checker.findings import Finding, Promise
from tests.chaos.mutations.bugs import BUGS, SCENARIOS, Bug
from tests.chaos.mutations.copies import copy

LIMIT_S: Final = 300.0
LINES: Final = 15  # of a run that left nothing to check
LINE_WIDTH: Final = 140  # when the output is not a terminal


@dataclass(frozen=True)
class Outcome:
    """What the checker found in a run, with or without a bug; `failure`: the run came to no end."""

    scenario: str
    bug: Bug | None
    seconds: float
    findings: list[Finding]
    failure: str = ""

    @property
    def good(self) -> bool:
        if self.failure:
            return False
        found = {finding.promise for finding in self.findings}
        return self.bug.promise in found if self.bug else not found

    def by_promise(self) -> str:
        counts = Counter(finding.promise for finding in self.findings)
        return ", ".join(f"{promise} {counts[promise]}" for promise in Promise if counts[promise]) or "nothing"


def main(arguments: list[str] | None = None) -> int:
    """Run what the arguments choose and print a table."""
    parser = argparse.ArgumentParser(prog="./dev chaos --mutations", description=__doc__)
    names = [bug.name for bug in BUGS]
    parser.add_argument("--only", action="append", choices=names, help="this bug; may be repeated")
    parser.add_argument("--no-baseline", action="store_true", help="leave out the runs without a bug")
    parser.add_argument("--list", action="store_true", help="print the bugs and stop")
    parser.add_argument("--jobs", type=int, default=2, help="runs at once (default: 2)")
    parser.add_argument("--keep", type=Path, help="keep each run's journal, state and logs in this folder")
    options = parser.parse_args(arguments)
    interrupt_on_termination()
    console = Console() if sys.stdout.isatty() else Console(width=LINE_WIDTH)
    bugs = [bug for bug in BUGS if not options.only or bug.name in options.only]
    if options.list:
        console.print(overview(bugs))
        return 0
    runs: list[tuple[str, Bug | None]] = [(bug.scenario, bug) for bug in bugs]
    if not options.no_baseline:
        runs = [*((scenario, None) for scenario in scenarios_of(bugs)), *runs]
    outcomes = []
    with ThreadPoolExecutor(options.jobs) as pool:
        for outcome in pool.map(lambda one: run(*one, keep=options.keep), runs):
            outcomes.append(outcome)
            what = f"{outcome.bug.name}: {outcome.bug.what}" if outcome.bug else "the tree as it is"
            console.print(f"{len(outcomes)}/{len(runs)}  {what}  [{outcome.scenario}]", markup=False, soft_wrap=True)
            console.print(f"      {in_short(outcome)}", markup=False, soft_wrap=True)
    console.print(table(outcomes))
    return 0 if all(outcome.good for outcome in outcomes) else 1


def scenarios_of(bugs: Iterable[Bug]) -> list[str]:
    """Return the scenarios of these bugs, each once."""
    chosen = {bug.scenario for bug in bugs}
    return [scenario for scenario in SCENARIOS if scenario in chosen]


def run(scenario: str, bug: Bug | None, *, keep: Path | None = None) -> Outcome:
    """Play the scenario in a copy with the bug and check what it left."""
    began = time.monotonic()
    with TemporaryDirectory(prefix="mamochi-mutation-") as temporary:
        tree = Path(temporary) / "tree"
        copy(tree, bug.changes if bug else ())
        folder = Path(temporary) / "run" if keep is None else keep.resolve() / (bug.name if bug else scenario)
        output = play(tree, scenario, folder)
        seconds = time.monotonic() - began
        if not (folder / STATE).exists():
            return Outcome(scenario, bug, seconds, [], "\n".join(output.splitlines()[-LINES:]))
        return Outcome(scenario, bug, seconds, check_folder(folder))


def play(tree: Path, scenario: str, folder: Path) -> str:
    """Run play.py inside of the tree; return what it printed. With a bug it may fail."""
    (folder / STATE).unlink(missing_ok=True)
    command = [sys.executable, "-m", "tests.chaos.mutations.play", scenario, "--dir", str(folder)]
    played = subprocess.Popen(command, cwd=tree, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        return played.communicate(timeout=LIMIT_S)[0]
    except subprocess.TimeoutExpired:
        played.terminate()  # it stops its servers
        return played.communicate()[0]
    finally:
        played.terminate()  # where this program is interrupted
        played.wait()


def in_short(outcome: Outcome) -> str:
    """Return a line about a finished run, and more if it is not as it should be."""
    line = f"{outcome.by_promise()} found in {outcome.seconds:.0f} s"
    if outcome.good:
        return line
    return f"{line}\n{outcome.failure or in_words(outcome.findings)}"


def overview(bugs: Iterable[Bug]) -> Table:
    """Return a table of the bugs."""
    drawn = Table(title="Bugs", title_justify="left")
    for column in ("name", "bug", "scenario", "promise"):
        drawn.add_column(column)
    for bug in bugs:
        drawn.add_row(bug.name, bug.what, bug.scenario, bug.promise)
    return drawn


def table(outcomes: Iterable[Outcome]) -> Table:
    """Return a table of all runs, red where a bug stayed hidden or the tree was found wrong."""
    drawn = Table(title="Mutations, and what the checker found", title_justify="left")
    for column in ("", "bug", "scenario", "must find", "found", "seconds"):
        drawn.add_column(column)
    for one in outcomes:
        must = str(one.bug.promise) if one.bug else "nothing"
        found = "the run came to no end" if one.failure else one.by_promise()
        style = "green" if one.good else "red"
        drawn.add_row(
            *("✔" if one.good else "✘", one.bug.name if one.bug else "none", one.scenario, must, found),
            f"{one.seconds:.0f}",
            style=style,
        )
    return drawn


if __name__ == "__main__":
    sys.exit(main())
