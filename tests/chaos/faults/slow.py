"""Disks that are slow: a server waits for each write to a file, and longer for each sync.

The kernel of these tests is built without device-mapper, which could slow a device (dm-delay). Its
cgroups limit how much a process writes per second, and make no single write slower. FUSE would put
a program of ours behind every read and every page. So a library delays the calls (`slow_disk.c`).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

from tests.chaos.faults.plan import Context, Plan
from tests.chaos.faults.preload import COMPILER, Numbers

SYNC_S: Final = 0.2  # as a disk with rotating plates under load; a write takes a 20th (slow_disk.c)
HOLD: Final = (8.0, 12.0)


class SlowDisks:
    """How slow the disk of each server is, by the process's name."""

    def __init__(self, folder: Path) -> None:
        self.numbers = Numbers(folder, "slow_disk.c", "SLOW_DISK")
        self.syncs: dict[str, float] = {}  # seconds, of the disks that are slow

    def variables(self, name: str) -> dict[str, str]:
        """Return the variables of a server, for `Stack(own=...)`; none for other processes."""
        if COMPILER is None or not (name == "postgres" or name.removeprefix("kafka-").isdecimal()):
            return {}
        self.numbers.write(name, self.syncs.get(name, 0.0))
        return self.numbers.variables(name)

    @contextmanager
    def slow(self, name: str, seconds: float = SYNC_S) -> Iterator[str]:
        """Let each sync take so long until the block ends."""
        self.syncs[name] = seconds
        self.numbers.write(name, seconds)
        try:
            yield name
        finally:
            del self.syncs[name]
            self.numbers.write(name, 0.0)


def plans(context: Context) -> list[Plan]:
    """Return the faults of slow disks; none without a compiler."""
    slow = context.slow_disks
    if slow is None:
        return []
    return [
        Plan("slow disk of PostgreSQL", partial(slow.slow, "postgres"), HOLD),
        Plan("slow disk of a broker", lambda: slow.slow(context.leader_in("mamochi.ventas").process_name), HOLD),
    ]
