"""Errors of the API: the engine's exception handler, with explanations in Spanish."""

from typing import Any, Final

from rest_framework.exceptions import ParseError, PermissionDenied
from rest_framework.response import Response

from gremio import csrf
from kafka_bridge.publishing import rest

CSRF_FAILED: Final = "CSRF Failed: "  # how DRF begins what Django says
CUERPO_ILEGIBLE: Final = "El cuerpo no se puede leer: revisa que sea JSON válido, en UTF-8."


def exception_handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """Handle errors as the engine does, and explain malformed JSON and CSRF failures in Spanish."""
    if isinstance(error, ParseError):  # DRF's text is the parser's own, in English
        error = ParseError(CUERPO_ILEGIBLE)
    elif isinstance(error, PermissionDenied) and str(error.detail).startswith(CSRF_FAILED):
        error = PermissionDenied(csrf.explain(str(error.detail).removeprefix(CSRF_FAILED), context["request"]))
    return rest.exception_handler(error, context)
