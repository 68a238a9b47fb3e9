"""The parser of JSON bodies: stricter than DRF's, so that untrusted input never ends in a 500."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import IO, Any, Final

from rest_framework import parsers, serializers
from rest_framework.exceptions import ParseError

MAX_DEPTH: Final = 20  # deeper values overflow Python's stack somewhere after the parser
# A surrogate escape: half a character, unless a second half follows.
SURROGATE: Final = re.compile(rb"\\u[dD][89a-fA-F]")


class JSONParser(parsers.JSONParser):
    """Refuse three kinds of values that DRF's parser accepts.

    Nesting deeper than MAX_DEPTH overflows Python's stack. A lone surrogate (half a character)
    can be neither stored nor sent back. Of a field that comes twice, either could be meant.
    """

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        """Return the body's value.

        Raises ParseError, or ValidationError at the field that comes twice or has half a character.
        """
        raw = stream.read()
        try:
            data = json.loads(raw.decode(), parse_constant=_refuse_constant, object_pairs_hook=_object)
        except (ValueError, RecursionError) as error:
            raise ParseError(str(error)) from None
        # Counting brackets is cheap; only a body with many of them is measured.
        if raw.count(b"[") + raw.count(b"{") > MAX_DEPTH and _is_too_deep(data):
            raise ParseError("nested too deep")
        if SURROGATE.search(raw):
            _refuse_surrogates(data)
        return data


def _refuse_constant(name: str) -> None:
    """Refuse NaN and Infinity, which Python's decoder accepts."""
    raise ValueError(f"{name} is not a JSON number")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object. Raises ValidationError at a field that comes twice."""
    fields = dict(pairs)
    if len(fields) < len(pairs):
        [(name, _)] = Counter(name for name, _ in pairs).most_common(1)
        field = "detail" if _lone_surrogate(name) else name[:60]
        raise serializers.ValidationError({field: ["Este campo viene más de una vez: envíalo una sola vez."]})
    return fields


def _is_too_deep(data: Any) -> bool:
    level = [data]
    for _ in range(MAX_DEPTH):
        level = [inner for value in level if isinstance(value, list | dict) for inner in _inside(value)]
    return bool(level)


def _inside(value: list[Any] | dict[str, Any]) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value


def _refuse_surrogates(data: Any) -> None:
    """Raise ValidationError at the first field whose name or value has a lone surrogate.

    Named `detail` if the body is not an object, or if the field's name has the surrogate.
    """
    fields = data if isinstance(data, dict) else {"detail": data}
    for name, value in fields.items():
        if half := _lone_surrogate([name, value]):
            field = "detail" if _lone_surrogate(name) else name
            raise serializers.ValidationError({field: [f"Lleva un carácter que no existe: U+{ord(half):X}."]})


def _lone_surrogate(value: Any) -> str:
    """Return the first lone surrogate in the value, or an empty text."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        return str(error.object[error.start])
    return ""
