"""Which processes run first where there are more of them than cores."""

import os
import time
from contextlib import suppress
from pathlib import Path

from deploy.embedded.waiting import wait_until

# Without root, Linux takes one change of a group's niceness in 100 ms, from all users.
TRIES, PAUSE_SECONDS = 20, 0.11
SESSION_SECONDS = 10.0


def go_behind(pid: int, niceness: int) -> None:
    """Let the others go first: a higher niceness (up to 19) gets less of a full core.

    `pid` begins a session, or is about to. Linux shares the cores among sessions before it looks at
    processes (autogroup), so that the niceness of a process alone would count only within its
    session. A process that the kernel does not let us change stays as it is.
    """
    with suppress(OSError, TimeoutError):
        os.setpriority(os.PRIO_PROCESS, pid, max(niceness, os.getpriority(os.PRIO_PROCESS, pid)))
        group = Path(f"/proc/{pid}/autogroup")
        if group.exists():
            wait_until(lambda: os.getsid(pid) == pid, SESSION_SECONDS, interval=0.01)
            _set_group(group, niceness)


def _set_group(group: Path, niceness: int) -> None:
    for _ in range(TRIES):
        try:
            group.write_text(str(niceness))
        except BlockingIOError:
            time.sleep(PAUSE_SECONDS)  # the kernel's own limit
        else:
            return
