"""CPU and memory of a running stack by process, from /proc: its record is stack.json."""

import json
from collections import defaultdict
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

Record = dict[str, Any]


def read_record(folder: Path) -> Record:
    """Return stack.json of a running stack."""
    record: Record = json.loads((folder / "stack.json").read_text())
    return record


def members(record: Record) -> dict[str, list[psutil.Process]]:
    """Return the processes by their names in stack.json; helpers belong to the process above them.

    `up` is the program that started the stack.
    """
    leader = psutil.Process(record["pid"])
    names = {entry["pid"]: name for name, entry in record["processes"].items()} | {leader.pid: "up"}
    found: dict[str, list[psutil.Process]] = defaultdict(list, {"up": [leader]})
    parents = {process.pid: process.ppid() for process in leader.children(recursive=True)}
    for pid in parents:
        owner = pid
        while owner not in names:
            owner = parents[owner]
        with suppress(psutil.NoSuchProcess):
            found[names[owner]].append(psutil.Process(pid))
    return dict(found)


def cpu_seconds(record: Record) -> dict[str, float]:
    """Return the CPU time since the start by name, ended children included."""
    return {name: sum(cpu_of(process.pid) for process in group) for name, group in members(record).items()}


def spent(before: dict[str, float], after: dict[str, float]) -> dict[str, float]:
    """Return the CPU time between two readings by name, the greatest first."""
    each = {name: cpu - before.get(name, 0.0) for name, cpu in after.items()}
    return dict(sorted(each.items(), key=lambda one: -one[1]))


def cpu_of(pid: int) -> float:
    """Return the CPU time of a process and of its ended children, in seconds."""
    with suppress(psutil.NoSuchProcess):
        return float(sum(psutil.Process(pid).cpu_times()[:4]))
    return 0.0


def pss_megabytes(record: Record) -> dict[str, float]:
    """Return the proportional set size by name: pages that processes share are divided by them."""
    return {name: sum(map(_pss_megabytes, group)) for name, group in members(record).items()}


def _pss_megabytes(process: psutil.Process) -> float:
    with suppress(FileNotFoundError, ProcessLookupError):
        for line in Path(f"/proc/{process.pid}/smaps_rollup").read_text().split("\n"):
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1_024
    return 0.0
