"""Fixtures of the checks' tests."""

from collections.abc import Iterator

import pytest

from tests.support.declare import Declare, declaring


@pytest.fixture
def declare() -> Iterator[Declare]:
    """Provide `declare(type, options, **attributes)`."""
    with declaring() as declare:
        yield declare
