"""Let signals that end a program stop the stack cleanly, and keep them from interrupting that."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def interrupt_on_termination() -> None:
    """Let SIGTERM and SIGHUP (a closed terminal) raise KeyboardInterrupt, as Ctrl-C does.

    SIGINT (Ctrl-C) is set too, because a shell starts background jobs with SIGINT ignored. Call
    this in the main thread.
    """
    for number in ENDINGS:
        signal.signal(number, _interrupt)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Ignore those signals in the block, whose duration must be bounded."""
    # Python interrupts only the main thread.
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, signal.SIG_IGN) for number in ENDINGS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
