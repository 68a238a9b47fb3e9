"""CPU and memory of a running stack by process, from /proc: its record is stack.json."""

import json
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from bench.cpu import tree_seconds

Record = dict[str, Any]


def read_record(folder: Path) -> Record:
    """Return stack.json of a running stack."""
    record: Record = json.loads((folder / "stack.json").read_text())
    return record


def cpu_seconds(record: Record) -> dict[str, float]:
    """Return the CPU time since the start by name, ended children included."""
    pids = _pids(record)
    return {name: tree_seconds(pid, apart=pids.values()) for name, pid in pids.items()}


def _pids(record: Record) -> dict[str, int]:
    """Return the processes that stack.json names; `up` is the program that started the stack."""
    return {"up": record["pid"], **{name: entry["pid"] for name, entry in record["processes"].items()}}


def spent(before: dict[str, float], after: dict[str, float]) -> dict[str, float]:
    """Return the CPU time between two readings by name, the greatest first."""
    each = {name: cpu - before.get(name, 0.0) for name, cpu in after.items()}
    return dict(sorted(each.items(), key=lambda one: -one[1]))


def pss_megabytes(record: Record) -> dict[str, float]:
    """Return the proportional set size by name: pages that processes share are divided by them."""
    pids = _pids(record)
    return {name: sum(map(_pss_megabytes, tree(pid, apart=pids.values()))) for name, pid in pids.items()}


def tree(pid: int, apart: Collection[int]) -> Iterator[int]:
    """Yield a process and its descendants by their pids, without those `apart` and below them."""
    yield pid
    with suppress(psutil.NoSuchProcess):
        for child in psutil.Process(pid).children():
            if child.pid not in apart:
                yield from tree(child.pid, apart)


def _pss_megabytes(pid: int) -> float:
    with suppress(FileNotFoundError, ProcessLookupError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().split("\n"):
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1_024
    return 0.0
