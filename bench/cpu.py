"""CPU of this process and of PostgreSQL, which is steadier than time on a busy machine."""

import time
from collections.abc import Callable

import psutil
from django.db import connection


def timed(run: Callable[[], float], rows: int) -> tuple[float, float, float]:
    """Return what `run` returns, and the µs of CPU per row, of this process and of PostgreSQL."""
    server = database_server()
    own, theirs = time.process_time(), cpu_of(server)
    figure = run()
    return figure, (time.process_time() - own) * 1e6 / rows, (cpu_of(server) - theirs) * 1e6 / rows


def database_server() -> psutil.Process:
    """Return the parent of the connection's server process. Raises RuntimeError if it has ended."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        server = psutil.Process(cursor.fetchone()[0]).parent()
    if server is None:
        raise RuntimeError("PostgreSQL's process has ended")
    return server


def cpu_of(server: psutil.Process) -> float:
    """Return the seconds of CPU of a process and its children, ended ones too."""
    while True:
        before = server.cpu_times()
        alive = sum(own_cpu(child) for child in server.children())
        after = server.cpu_times()
        # If a child ended meanwhile, it may have been counted twice or not at all.
        if (before.children_user, before.children_system) == (after.children_user, after.children_system):
            return alive + float(after.user + after.system + after.children_user + after.children_system)


def own_cpu(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system)
