"""The table of recovery times shows each kind of fault with values that were measured."""

import json
from dataclasses import asdict
from pathlib import Path

from tests.chaos.recovery import __main__ as recovery
from tests.chaos.recovery.times import Recovery, spread


def recovered(fault: str, seconds: float | None) -> Recovery:
    return Recovery(fault, "kafka-1", 5.0, seconds, 1.0, seconds, {"kafka": seconds, "api": 0.1, "rows": seconds})


def test_spread_has_measured_values() -> None:
    assert spread([*range(1, 11)]) == "5.5 / 9.0 / 10.0"
    assert spread([3.0]) == "3.0 / 3.0 / 3.0"
    assert spread([]) == "never"


def test_runs_are_read_together(tmp_path: Path) -> None:
    for number, seconds in enumerate((2.0, 4.0, None)):
        content = {"recoveries": [asdict(recovered("a cut", seconds))]}
        (tmp_path / f"{number}.json").write_text(json.dumps(content))
    line = recovery.markdown(recovery.read(sorted(tmp_path.iterdir()))).splitlines()[-1]
    assert line.startswith("| a cut | 3 | 5.0 / 5.0 / 5.0 | 3.0 / 4.0 / 4.0 |")
