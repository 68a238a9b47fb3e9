"""CPU time, which is steadier than time on a busy machine: of processes, and of PostgreSQL."""

import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress

import psutil
from django.db import connection

# What the embedded servers' programs are called, and what they are.
SERVERS = {"java": "kafka", "postgres": "postgresql", "valkey-server": "valkey"}


def timed(run: Callable[[], float], rows: int) -> tuple[float, float, float]:
    """Return what `run` returns, and the µs of CPU per row, of this process and of PostgreSQL."""
    server = database_server().pid
    own, theirs = time.process_time(), tree_seconds(server)
    figure = run()
    return figure, (time.process_time() - own) * 1e6 / rows, (tree_seconds(server) - theirs) * 1e6 / rows


def database_server() -> psutil.Process:
    """Return the parent of the connection's server process. Raises RuntimeError if it has ended."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        server = psutil.Process(cursor.fetchone()[0]).parent()
    if server is None:
        raise RuntimeError("PostgreSQL's process has ended")
    return server


def seconds(processes: Mapping[str, int]) -> dict[str, float]:
    """Return the CPU seconds so far of each process (pid by name) and of each embedded server.

    A process's time has that of its children in it, also of those that have ended.
    """
    used = {name: tree_seconds(pid) for name, pid in processes.items()}
    for child in psutil.Process().children():
        if name := SERVERS.get(child.name()):
            used[name] = used.get(name, 0.0) + tree_seconds(child.pid)
    return used


def machine_seconds() -> float:
    """Return the seconds that the cores of this machine have worked, for whatever program."""
    times = psutil.cpu_times()
    return float(times.user + times.nice + times.system + times.irq + times.softirq)


def tree_seconds(pid: int, apart: Collection[int] = ()) -> float:
    """Return the seconds of CPU of a process and its descendants, ended ones too.

    Those `apart` (by their pids) are left out, with their own descendants. A process that has ended
    has none.
    """
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        while True:
            own = process.cpu_times()
            ended = own.children_user + own.children_system
            children = sum(tree_seconds(child.pid, apart) for child in process.children() if child.pid not in apart)
            after = process.cpu_times()
            # Else a child has ended meanwhile, and its time may be counted nowhere.
            if ended == after.children_user + after.children_system:
                return float(own.user + own.system + ended + children)
    return 0.0
