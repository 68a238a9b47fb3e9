"""The parsers of forms, which refuse JSON that is sent as a form."""

from collections.abc import Mapping
from io import BytesIO
from typing import IO, Any, Final

from django.utils.http import parse_header_parameters
from rest_framework import parsers, status
from rest_framework.exceptions import APIException, ParseError

JSON_BEGINS: Final = (b"{", b"[")


class JSONSentAsForm(APIException):
    """415: the body is JSON, but its Content-Type says that it is a form (curl's default)."""

    status_code = status.HTTP_415_UNSUPPORTED_MEDIA_TYPE
    default_detail = "El cuerpo es JSON, enviado como formulario: agrega Content-Type: application/json."


class FormParser(parsers.FormParser):
    """Refuse JSON, whose whole text would be the name of a field that no view reads."""

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        """Return the fields. Raises JSONSentAsForm."""
        raw = _read_form(stream)
        return super().parse(BytesIO(raw), media_type, parser_context)


class MultiPartParser(parsers.MultiPartParser):
    """Refuse a body in which the parts cannot be found: it would be read as an empty form."""

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        """Return the fields. Raises JSONSentAsForm or ParseError."""
        raw = _read_form(stream)
        _, parameters = parse_header_parameters(media_type or "")
        if raw.strip() and f"--{parameters.get('boundary')}".encode() not in raw:
            raise ParseError("no part begins with the boundary that the Content-Type names")
        return super().parse(BytesIO(raw), media_type, parser_context)


def _read_form(stream: IO[Any]) -> bytes:
    """Return the body. Raises JSONSentAsForm."""
    raw: bytes = stream.read()
    if raw.lstrip().startswith(JSON_BEGINS):
        raise JSONSentAsForm
    return raw
