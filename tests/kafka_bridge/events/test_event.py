"""Declaring events."""

import pytest

from tests.support.declare import declaring


def test_a_type_belongs_to_one_class() -> None:
    with declaring() as declare:
        event = declare()
        with pytest.raises(TypeError, match="is already the type of"):
            declare(event.type, __qualname__="Other")
