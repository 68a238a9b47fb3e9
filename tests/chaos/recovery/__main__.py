"""Several runs in Markdown: a table of the runs, and how long recovery takes by kind of fault.

python -m tests.chaos.recovery docs/chaos/*.json
"""

import json
import sys
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from tests.chaos.recovery.times import Recovery, spread

WISHES: Final = ("sales", "voids", "notices", "enrolments")
COLUMNS: Final = (
    "lasted",
    "Kafka acknowledges, from the beginning",
    "and from the end",
    "API accepts, from the beginning",
    "rows are written, from the beginning",
    "and from the end",
)


def read(paths: Iterable[Path]) -> list[dict[str, Any]]:
    """Return the content of these files, each the chaos.json of a run."""
    return [json.loads(path.read_text()) for path in paths]


def runs_table(runs: Iterable[dict[str, Any]]) -> str:
    """Return the table of the runs: what was accepted, and what audit and checker said."""
    head = ["seed", "faults and acts", *WISHES, "the audit's lines", "the checker"]
    return _table(head, [_run(run) for run in runs])


def _run(run: dict[str, Any]) -> list[str]:
    red = sum(not line["ok"] for line in run["audit"])
    lines = f"{red} of {len(run['audit'])} red" if red else f"all {len(run['audit'])} green"
    findings = f"{len(run['findings'])} findings" if run["findings"] else "found nothing"
    wishes = [f"{run['accepted'][name]:,}" for name in WISHES]
    return [run["seed"], str(len(run["recoveries"])), *wishes, lines, findings]


def recovery_table(runs: Iterable[dict[str, Any]]) -> str:
    """Return the table of all faults of the runs."""
    return markdown(Recovery(**one) for run in runs for one in run["recoveries"])


def markdown(found: Iterable[Recovery]) -> str:
    """Return the table; each cell is a median, a 90th percentile and the greatest, in seconds."""
    by_kind: dict[str, list[Recovery]] = defaultdict(list)
    for one in found:
        by_kind[one.fault].append(one)
    head = ["fault", "times", *COLUMNS]
    rows = [[kind, str(len(same)), *_cells(same)] for kind, same in sorted(by_kind.items())]
    return _table(head, rows)


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cells(same: list[Recovery]) -> list[str]:
    values: list[list[float | None]] = [
        [one.lasted for one in same],
        [one.kafka for one in same],
        [one.healed["kafka"] for one in same],
        [one.api for one in same],
        [one.rows for one in same],
        [one.healed["rows"] for one in same],
    ]
    return [spread([value for value in column if value is not None]) for column in values]


if __name__ == "__main__":
    files = read(map(Path, sys.argv[1:]))
    print(runs_table(files), recovery_table(files), sep="\n\n")
