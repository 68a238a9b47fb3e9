"""Ctrl-C and its relatives: they end a stack in order, and cannot cut its end short."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def interrupt_on_termination() -> None:
    """From now on SIGTERM and a closed terminal (SIGHUP) raise KeyboardInterrupt, as Ctrl-C does.

    Also Ctrl-C itself: a shell starts background jobs with SIGINT ignored. To be called in the main thread.
    """
    for number in ENDINGS:
        signal.signal(number, _interrupt)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """A block that those signals do not interrupt; it must be bounded in time."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread is ever interrupted
        return
    before = {number: signal.signal(number, signal.SIG_IGN) for number in ENDINGS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
