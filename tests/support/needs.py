"""What a test needs of the machine, such as a program or a right: CI must have it.

Elsewhere a test without it is skipped, and the reason is shown.
"""

import os
from typing import NoReturn

import pytest


def needs(lack: str) -> pytest.MarkDecorator:
    """Mark tests that cannot run if `lack` says what is missing; empty if nothing is.

    They are skipped, or fail in CI, before any of their fixtures (tests/stack.py).
    """
    return pytest.mark.needs(lack)


def skip_or_fail(lack: str) -> NoReturn:
    """End the test, which cannot run: in CI as a failure."""
    if is_ci():
        pytest.fail(f"CI must have this: {lack}", pytrace=False)
    pytest.skip(lack)


def is_ci() -> bool:
    """Return True in CI (.ci/run sets the variable)."""
    return bool(os.environ.get("CI"))
