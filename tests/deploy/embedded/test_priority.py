"""A process that goes behind the others has that niceness for itself and for its whole session."""

import os
import sys
from pathlib import Path

import psutil
import pytest

from deploy.embedded.processes import Process, Supervisor
from deploy.forks.orders import Forks
from mamochi_site.local.system import BEHIND_THE_WEB, CHECKOUT, application_processes, niceness_of

SLEEPS = "import time; time.sleep(600)"
needs_autogroup = pytest.mark.skipif(
    not Path("/proc/self/autogroup").exists(), reason="this kernel shares its cores without sessions"
)


def niceness(process: Process) -> tuple[int, int]:
    """Return the niceness of a process and that of its session."""
    session = int(Path(f"/proc/{process.pid}/autogroup").read_text().rpartition(" ")[2])
    return psutil.Process(process.pid).nice(), session


@needs_autogroup
@pytest.mark.parametrize("forked", [False, True])
def test_a_session_goes_behind(tmp_path: Path, forked: bool) -> None:
    supervisor = Supervisor("run", tmp_path, lambda: None)
    (tmp_path / "script.py").write_text(SLEEPS)
    argv = [sys.executable, "script.py"]
    forks: Forks | None = supervisor.load("program", "json", cwd=CHECKOUT, env=os.environ) if forked else None
    front = supervisor.spawn("front", argv, cwd=tmp_path, env=os.environ, forks=forks)
    behind = supervisor.spawn("behind", argv, cwd=tmp_path, env=os.environ, forks=forks, niceness=5)
    try:
        assert niceness(front) == (os.getpriority(os.PRIO_PROCESS, 0), 0)
        assert niceness(behind) == (5, 5)
        behind.kill()
        supervisor.start(behind)
        assert niceness(behind) == (5, 5)
    finally:
        for process in reversed([*supervisor.processes.values()]):
            process.stop()


def test_the_web_goes_first() -> None:
    names = application_processes(0, 1)
    assert {name for name in names if not niceness_of(name)} == {"web"}
    assert BEHIND_THE_WEB > 0
