"""Encoding and decoding events."""

import json
from typing import Literal
from uuid import uuid4

import pytest

from kafka_bridge.events.codec import decode
from kafka_bridge.exceptions import Undecodable
from tests.support.declare import redeclaring


def test_an_error_names_the_field_but_no_value() -> None:
    with redeclaring(__name__) as declare:
        event = declare({"origin": Literal["person", "automatic"]})
        value = json.dumps({"id": str(uuid4()), "time": "2026-11-23T15:04:05Z", "origin": "12.345.678-5"})
        with pytest.raises(Undecodable, match=r"^Invalid enum value - at `\$\.origin`$"):
            decode({"ce_type": event.type}, value.encode())
