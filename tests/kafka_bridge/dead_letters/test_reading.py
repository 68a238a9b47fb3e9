"""Payloads shown as text."""

from kafka_bridge.dead_letters import reading


def test_bytes_that_are_not_text_are_escaped() -> None:
    assert reading.as_text(b'\xff\x00{"a"') == '\\xff\\u0000{"a"'
    assert reading.as_text(None) == ""
    assert reading.as_text(b'{"a": "\xff"}') == '{"a": "\\xff"}'


def test_json_is_indented_digit_for_digit() -> None:
    assert (
        reading.as_text('{"a":1.0,"ñ":12345678901234567890}'.encode())
        == '{\n  "a": 1.0,\n  "ñ": 12345678901234567890\n}'
    )
