"""Less memory for a broker's page cache: by a cgroup, which only root can make."""

import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from deploy.embedded import StackError

CONTROLLER: Final = Path("/sys/fs/cgroup/memory")  # of cgroups in version 1
MEMBERS: Final = "cgroup.procs"
LIMIT: Final = "memory.limit_in_bytes"


def lack() -> str:
    """Return what is missing for a limit; empty if nothing is."""
    if os.geteuid() != 0:
        return "The factor `cache` limits a broker's memory by a cgroup: run it as root."
    if not (CONTROLLER / LIMIT).exists():
        return f"The factor `cache` needs the memory controller of cgroups, version 1, at {CONTROLLER}."
    return ""


@contextmanager
def limited_memory(pids: Collection[int], megabytes: int) -> Iterator[None]:
    """Let the processes keep so many MB of new memory, pages of files included; 0: no limit.

    What they have already is not counted. Raises StackError.
    """
    if not megabytes:
        yield
        return
    if missing := lack():
        raise StackError(missing)
    group = CONTROLLER / f"mamochi-bench-{os.getpid()}"
    before = {pid: _group_of(pid) for pid in pids}
    group.mkdir()
    try:
        (group / LIMIT).write_text(str(megabytes * 2**20))
        for pid in pids:
            (group / MEMBERS).write_text(str(pid))
        yield
    finally:
        for pid, former in before.items():
            with suppress(ProcessLookupError):  # the process has ended
                (former / MEMBERS).write_text(str(pid))
        group.rmdir()


def _group_of(pid: int) -> Path:
    """Return the folder of the group that has the process now."""
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "memory":
            return CONTROLLER / path.removeprefix("/")
    raise StackError(f"Process {pid} is in no cgroup of the memory controller.")


def bytes_from_disk(pids: Collection[int]) -> int:
    """Return how much the processes have read that was not in the page cache."""
    return sum(_read_bytes(pid) for pid in pids)


def _read_bytes(pid: int) -> int:
    lines = Path(f"/proc/{pid}/io").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("read_bytes:"))
