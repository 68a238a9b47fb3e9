"""Errors of the API: the engine's exception handler, and malformed JSON explained in Spanish."""

from typing import Any, Final

from rest_framework.exceptions import ParseError
from rest_framework.response import Response

from kafka_bridge.publishing import rest

CUERPO_ILEGIBLE: Final = "El cuerpo no se puede leer: revisa que sea JSON válido, en UTF-8."


def exception_handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """Handle errors as the engine does, with a Spanish text for a body that cannot be parsed."""
    if isinstance(error, ParseError):  # DRF's text is the parser's own, in English
        error = ParseError(CUERPO_ILEGIBLE)
    return rest.exception_handler(error, context)
