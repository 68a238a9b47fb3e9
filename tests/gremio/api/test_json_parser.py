"""The parser of JSON bodies refuses what would end in a 500 later."""

import io
import json
from typing import Any

import pytest
from rest_framework.exceptions import ParseError, ValidationError

from gremio.api.json_parser import MAX_DEPTH, JSONParser


def parse(body: str) -> Any:
    return JSONParser().parse(io.BytesIO(body.encode()))


def nested(depth: int) -> str:
    return "[" * depth + "]" * depth


@pytest.mark.parametrize("value", [{"nombre": "Ñáñez 😀"}, [1, 2.5, None, True], "texto", {}])
def test_json_is_read(value: Any) -> None:
    assert parse(json.dumps(value)) == value
    assert parse(json.dumps(value, ensure_ascii=False)) == value


@pytest.mark.parametrize("body", ["", "{", "NaN", '{"a": -Infinity}', nested(MAX_DEPTH + 1), nested(100_000)])
def test_other_text_is_refused(body: str) -> None:
    with pytest.raises(ParseError):
        parse(body)


def test_bytes_that_are_not_utf8_are_refused() -> None:
    with pytest.raises(ParseError):
        JSONParser().parse(io.BytesIO(b'"\xff"'))


def test_a_wide_body_is_not_deep() -> None:
    assert parse(f"[{', '.join(['[]'] * 100)}]") == [[]] * 100
    assert parse(nested(MAX_DEPTH))


@pytest.mark.parametrize(
    ("body", "field"),
    [(r'{"nombre": "\ud800"}', "nombre"), (r'{"\ud800": 1}', "detail"), (r'["\ud800"]', "detail")],
)
def test_half_a_character_is_refused_at_its_field(body: str, field: str) -> None:
    with pytest.raises(ValidationError) as raised:
        parse(body)
    assert list(raised.value.get_full_details()) == [field]
    assert "U+D800" in str(raised.value)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ('{"cantidad": 1, "cantidad": 9}', "cantidad"),
        ('[{"insumos": ["mote"], "insumos": []}]', "insumos"),
        (r'{"a": {"\ud800": 1, "\ud800": 2}}', "detail"),
    ],
)
def test_a_field_that_comes_twice_is_refused(body: str, field: str) -> None:
    with pytest.raises(ValidationError) as raised:
        parse(body)
    assert list(raised.value.get_full_details()) == [field]
