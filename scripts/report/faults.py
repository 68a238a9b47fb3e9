"""The runs of ./dev chaos that docs/chaos keeps: what was accepted, and how soon all recovered."""

import json
from collections import defaultdict
from pathlib import Path
from statistics import median
from typing import Any, Final

# The faults as the report groups them. Every kind of fault of tests/chaos has its group.
GROUPS: Final = {
    "lider": ("kill -9 leader", "SIGSTOP leader"),
    "dos-brokers": ("kill -9 two brokers", "SIGSTOP two brokers"),
    "todos-los-brokers": ("kill -9 all brokers", "SIGSTOP all brokers"),
    "broker-cortado": (
        "broker cut from brokers",
        "broker cut from clients",
        "broker delayed",
        "broker flaps",
        "one-way loss of a broker",
    ),
    "mitades": ("halves",),
    "paquetes": ("packets lost", "silent link"),
    "web-sin-kafka": ("web loses brokers",),
    "web-sin-base": ("web loses postgres",),
    "otros-sin-servidor": ("background loses brokers", "consumers lose Kafka", "consumers lose PostgreSQL"),
    "nombres": ("name server down", "name server silent"),
    "disco-de-broker": (
        "disk of a broker fails",
        "full disk of a broker",
        "power loss of a broker",
        "slow disk of a broker",
    ),
    "base": (
        "kill -9 PostgreSQL",
        "kill -9 PostgreSQL in a batch",
        "SIGSTOP PostgreSQL",
        "PostgreSQL delayed",
        "torn WAL page of PostgreSQL",
    ),
    "disco-de-base": ("disk of PostgreSQL fails", "full disk of PostgreSQL", "slow disk of PostgreSQL"),
    "relojes": (
        "clock jumps",
        "clock of a broker",
        "clock of Beat",
        "clock of consumer",
        "clock of PostgreSQL",
        "clock of web",
        "clock of worker",
    ),
    "web": ("kill -9 web",),
    "consumidor": ("kill -9 consumer", "SIGSTOP consumer"),
    "otros-procesos": (
        "kill -9 celery-beat",
        "kill -9 celery-worker",
        "kill -9 outbox-relay",
        "kill -9 SMTP",
        "kill -9 Valkey",
        "two Beats",
    ),
    "topicos": ("topic made again", "partitions added", "offsets of a group reset"),
}
_GROUP_OF: Final = {fault: group for group, faults in GROUPS.items() for fault in faults}
_TIMES: Final = {"duro": "lasted", "kafka": "kafka", "api": "api", "filas": "rows"}
Facts = dict[str, Any]


def chaos_facts(folder: Path) -> Facts:
    """Return the runs of the folder, and the recovery times of all of them by group.

    A time is a pair of seconds from the beginning of the fault: median and greatest. Raises
    KeyError for a kind of fault without a group, and FileNotFoundError if there is no run.
    """
    runs = [json.loads(path.read_text()) for path in sorted(folder.glob("seed-*.json"))]
    if not runs:
        raise FileNotFoundError(f"no run in {folder}: ./dev chaos writes them")
    by_group: dict[str, list[Facts]] = defaultdict(list)
    for one in (recovery for run in runs for recovery in run["recoveries"]):
        by_group[_GROUP_OF[one["fault"]]].append(one)
    return {
        "corridas": [_run(run) for run in runs],
        "recuperacion": [_group(group, by_group[group]) for group in GROUPS if by_group[group]],
    }


def _run(run: Facts) -> Facts:
    """Return a run in numbers; `rojas` are the lines of its audit that are not green."""
    return {
        "semilla": run["seed"],
        "minutos": float(run["minutes"]),
        "fallas": len(run["recoveries"]),
        **run["accepted"],
        "lineas": len(run["audit"]),
        "rojas": sum(not line["ok"] for line in run["audit"]),
        "hallazgos": len(run["findings"]),
    }


def _group(name: str, recoveries: list[Facts]) -> Facts:
    times = {as_named: _median_and_worst(recoveries, key) for as_named, key in _TIMES.items()}
    return {"grupo": name, "veces": len(recoveries), **times}


def _median_and_worst(recoveries: list[Facts], key: str) -> list[float]:
    values = [one[key] for one in recoveries if one[key] is not None]
    return [median(values), max(values)]
