"""How long recovery takes, over several runs: a table by kind of fault, in Markdown.

python -m tests.chaos.recovery docs/chaos/*.json
"""

import json
import sys
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from tests.chaos.recovery.times import Recovery, spread

COLUMNS: Final = (
    "lasted",
    "Kafka acknowledges, from the beginning",
    "and from the end",
    "API accepts, from the beginning",
    "rows are written, from the beginning",
    "and from the end",
)


def read(paths: Iterable[Path]) -> list[Recovery]:
    """Return the recoveries of these runs (chaos.json)."""
    return [Recovery(**one) for path in paths for one in json.loads(path.read_text())["recoveries"]]


def markdown(found: Iterable[Recovery]) -> str:
    """Return the table; each cell is a median, a 90th percentile and the greatest, in seconds."""
    by_kind: dict[str, list[Recovery]] = defaultdict(list)
    for one in found:
        by_kind[one.fault].append(one)
    head = ["fault", "times", *COLUMNS]
    rows = [[kind, str(len(same)), *_cells(same)] for kind, same in sorted(by_kind.items())]
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
    print(markdown(read(map(Path, sys.argv[1:]))))
