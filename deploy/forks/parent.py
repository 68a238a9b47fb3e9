"""Processes that end with their parent, even if that is killed with kill -9."""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1
PR_SET_NAME = 15

_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


def die_with(parent: int) -> None:
    """Let SIGKILL end this process when the thread that forked it ends; only Linux can.

    `parent` is the pid of that thread's process, which may have ended before the call.
    """
    if _libc is None:
        return
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def show_as(name: str) -> None:
    """Let `top` and `ps -o comm` show this name, of which Linux keeps 15 characters."""
    if _libc is not None:
        _libc.prctl(PR_SET_NAME, name.encode())
