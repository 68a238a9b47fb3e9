"""A limit of CPU for a process, as Kubernetes sets it: so much of each 100 ms, by a cgroup.

Only root may make cgroups. Both versions of them work: on a machine with the first one, the
controller `cpu` has a tree of its own.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from deploy.embedded.waiting import wait_until

CGROUPS: Final = Path("/sys/fs/cgroup")
PERIOD_US: Final = 100_000
REMOVAL_SECONDS: Final = 10.0


class Limit:
    """A cgroup whose processes use so many cores at most."""

    def __init__(self, name: str, cores: float) -> None:
        self.folder = _root() / name
        self.folder.mkdir()
        quota = round(cores * PERIOD_US)
        if _is_first_version():
            (self.folder / "cpu.cfs_period_us").write_text(str(PERIOD_US))
            (self.folder / "cpu.cfs_quota_us").write_text(str(quota))
        else:
            (self.folder / "cpu.max").write_text(f"{quota} {PERIOD_US}")

    def add(self, pid: int) -> None:
        """Limit a process and what it starts from now on."""
        (self.folder / "cgroup.procs").write_text(str(pid))

    def remove(self) -> None:
        """Remove the cgroup, whose processes have ended. Raises TimeoutError if they have not."""
        wait_until(self._is_removed, REMOVAL_SECONDS, what=f"{self.folder} is empty")

    def _is_removed(self) -> bool:
        with suppress(OSError):  # a process is a member until its parent has read how it ended
            self.folder.rmdir()
        return not self.folder.exists()


def lack() -> str:
    """Return why this process can set no limits; empty if it can."""
    if os.geteuid() != 0:
        return "limits of CPU need root: sudo ./dev bench demanda"
    try:
        with _tried():
            return ""
    except OSError as error:
        return f"this machine takes no cgroup that limits CPU: {error}"


@contextmanager
def _tried() -> Iterator[None]:
    if not _is_first_version():
        (CGROUPS / "cgroup.subtree_control").write_text("+cpu")
    limit = Limit(f"mamochi-try-{os.getpid()}", 0.5)
    try:
        yield
    finally:
        limit.remove()


def _is_first_version() -> bool:
    return (CGROUPS / "cpu" / "cgroup.procs").exists()


def _root() -> Path:
    return CGROUPS / "cpu" if _is_first_version() else CGROUPS
