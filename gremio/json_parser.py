"""TODO."""

import json
import re
from collections.abc import Iterable, Mapping
from typing import IO, Any, Final

from rest_framework import parsers, serializers
from rest_framework.exceptions import ParseError

MAX_DEPTH: Final = 20  # of a JSON body; what is deeper overflows Python's stack somewhere behind the parser
SURROGATE: Final = re.compile(rb"\\u[dD][89a-fA-F]")  # as JSON writes half a character; two halves may make a whole one


class JSONParser(parsers.JSONParser):
    """DRF's, which lets two things through that end in a 500: nesting deeper than Python's stack, and half characters."""

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        """The body's value. Raises ParseError, or ValidationError at the field with half a character."""
        raw = stream.read()
        try:
            data = json.loads(raw.decode(), parse_constant=_no_number)
        except (ValueError, RecursionError) as error:
            raise ParseError(str(error)) from None
        if raw.count(b"[") + raw.count(b"{") > MAX_DEPTH and _is_deep(data):
            raise ParseError("nested too deep")
        if SURROGATE.search(raw):
            _refuse_half_characters(data)
        return data


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")


def _is_deep(data: Any) -> bool:
    level = [data]
    for _ in range(MAX_DEPTH):
        level = [inner for value in level if isinstance(value, list | dict) for inner in _inside(value)]
    return bool(level)


def _inside(value: list[Any] | dict[str, Any]) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value


def _refuse_half_characters(data: Any) -> None:
    """Nothing could store them or answer with them."""
    fields = data if isinstance(data, dict) else {"detail": data}
    for name, value in fields.items():
        if half := _half_character([name, value]):
            field = "detail" if _half_character(name) else name
            raise serializers.ValidationError({field: [f"Lleva un carácter que no existe: U+{ord(half):X}."]})


def _half_character(value: Any) -> str:
    """The first one in it, or empty."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        return str(error.object[error.start])
    return ""
