"""Waiting on a condition with a deadline, never on the clock alone."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_until(condition: Callable[[], T], timeout: float, *, what: str = "the condition", interval: float = 0.05) -> T:
    """The first true value of `condition()`.

    `timeout` and `interval` are seconds. Raises TimeoutError, which names `what`, when time is up.
    """
    deadline = time.monotonic() + timeout
    while not (value := condition()):
        if time.monotonic() >= deadline:
            raise TimeoutError(f"{what}: not true after {timeout:g} s")
        time.sleep(interval)
    return value
