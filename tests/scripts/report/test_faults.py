"""The report's facts of the runs of ./dev chaos: from their files, grouped, or an error."""

import json
from pathlib import Path
from typing import Any

import pytest

from scripts.report.faults import chaos_facts


def write_run(folder: Path, seed: int, *recoveries: dict[str, Any], ok: bool = True) -> None:
    content = {
        "seed": str(seed),
        "minutes": "10.0",
        "accepted": {"sales": 100 * seed, "voids": 1, "notices": 2, "enrolments": 3},
        "findings": [],
        "recoveries": recoveries,
        "audit": [{"what": "one", "ok": True}, {"what": "two", "ok": ok}],
    }
    (folder / f"seed-{seed}.json").write_text(json.dumps(content))


def recovery(fault: str, seconds: float, kafka: float | None = 0.5) -> dict[str, Any]:
    return {"fault": fault, "lasted": seconds, "kafka": kafka, "api": 0.1, "rows": seconds}


def test_runs_are_summed_up_by_group(tmp_path: Path) -> None:
    write_run(tmp_path, 1, recovery("kill -9 leader", 4.0), recovery("halves", 9.0))
    write_run(tmp_path, 2, recovery("SIGSTOP leader", 6.0), recovery("kill -9 leader", 11.0, kafka=None), ok=False)
    facts = chaos_facts(tmp_path)
    assert [(run["sales"], run["fallas"], run["lineas"], run["rojas"]) for run in facts["corridas"]] == [
        (100, 2, 2, 0),
        (200, 2, 2, 1),
    ]
    leader, halves = facts["recuperacion"]
    assert (leader["grupo"], leader["veces"], leader["duro"]) == ("lider", 3, [6.0, 11.0])
    assert leader["kafka"] == [0.5, 0.5]
    assert halves["grupo"] == "mitades"


def test_fault_without_a_group_is_named(tmp_path: Path) -> None:
    write_run(tmp_path, 1, recovery("earthquake", 1.0))
    with pytest.raises(KeyError, match="earthquake"):
        chaos_facts(tmp_path)


def test_no_run_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no run in"):
        chaos_facts(tmp_path)
