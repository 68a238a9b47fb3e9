"""Waiting for a condition, with a deadline."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_until(condition: Callable[[], T], timeout: float, *, what: str = "the condition", interval: float = 0.05) -> T:
    """Call `condition` until its value is true, and return that value.

    `timeout` and `interval` are in seconds. Raises TimeoutError, with `what` in its text, when time
    is up.
    """
    deadline = time.monotonic() + timeout
    while not (value := condition()):
        if time.monotonic() >= deadline:
            raise TimeoutError(f"{what}: not true after {timeout:g} s")
        time.sleep(interval)
    return value
