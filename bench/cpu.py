"""CPU time by process: of the programs that the benchmark started, and of the embedded servers."""

from collections.abc import Mapping
from contextlib import suppress

import psutil

# What the embedded servers' programs are called, and what they are.
SERVERS = {"java": "kafka", "postgres": "postgresql", "valkey-server": "valkey"}


def seconds(processes: Mapping[str, int]) -> dict[str, float]:
    """Return the CPU seconds so far of each process (pid by name) and of each embedded server.

    A process's time has that of its children in it, also of those that have ended.
    """
    used = {name: _tree(psutil.Process(pid)) for name, pid in processes.items()}
    for child in psutil.Process().children():
        if name := SERVERS.get(child.name()):
            used[name] = used.get(name, 0.0) + _tree(child)
    return used


def _tree(process: psutil.Process) -> float:
    # A child that has ended since it was listed: its time is among its parent's from now on.
    with suppress(psutil.NoSuchProcess):
        own = process.cpu_times()
        ended = own.children_user + own.children_system
        return own.user + own.system + ended + sum(map(_tree, process.children()))
    return 0.0
