"""Which processes run first where there are more of them than cores."""

import os
import time
from contextlib import suppress
from pathlib import Path

# Without root, Linux takes one change of a group's niceness in 100 ms, from all users.
TRIES, PAUSE_SECONDS = 20, 0.11
SESSION_SECONDS = 10.0


def go_behind(pid: int, niceness: int) -> None:
    """Let the others go first: a higher niceness (up to 19) gets less of a full core.

    `pid` leads its session. Linux shares the cores among sessions before it looks at processes
    (autogroup), so the niceness of a process alone would count only within its session.
    """
    with suppress(ProcessLookupError):  # the process has ended
        os.setpriority(os.PRIO_PROCESS, pid, niceness)
        group = Path(f"/proc/{pid}/autogroup")
        if group.exists():
            _set_group(group, niceness)


def _set_group(group: Path, niceness: int) -> None:
    for _ in range(TRIES):
        try:
            group.write_text(str(niceness))
        except BlockingIOError:
            time.sleep(PAUSE_SECONDS)  # the kernel's own limit
        else:
            return
