"""Errors of the API: the engine's exception handler, with explanations in Spanish."""

from typing import Any, Final

from rest_framework import status
from rest_framework.exceptions import APIException, ParseError, PermissionDenied
from rest_framework.response import Response

from gremio import csrf
from kafka_bridge.publishing import rest
from kafka_bridge.publishing.claims import Content

CSRF_FAILED: Final = "CSRF Failed: "  # how DRF begins what Django says
CUERPO_ILEGIBLE: Final = "El cuerpo no se puede leer: revisa que sea JSON válido, en UTF-8."
OTROS_DATOS: Final = (
    "Con este id (o Idempotency-Key) ya llegó un envío con otros datos, y ese es el que vale. "
    "Si es otra cosa, envíala con un id nuevo; si es el mismo envío, manda lo mismo que antes."
)


class DatosDistintos(APIException):
    """422: an id or Idempotency-Key came before with other content; nothing was accepted.

    As in the IETF's draft of the Idempotency-Key header.
    """

    status_code = status.HTTP_422_UNPROCESSABLE_ENTITY
    default_code = "datos_distintos"

    def __init__(self, errores: dict[str, list[str]]) -> None:
        super().__init__(errores)


def otros_datos(antes: Content, ahora: Content) -> dict[str, list[str]]:
    """Return the errors of a request whose id came before with other content, by field."""
    campos = [campo for campo in ahora if antes.get(campo) != ahora[campo]]
    por_campo = {campo: [f"Antes llegó {_dicho(antes.get(campo))}; ahora, {_dicho(ahora[campo])}."] for campo in campos}
    return {"detail": [OTROS_DATOS], **por_campo}


def _dicho(valor: Any) -> str:
    if valor is None or valor in ("", []):
        return "nada"
    return ", ".join(map(str, valor)) if isinstance(valor, list) else str(valor)


def exception_handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """Handle errors as the engine does, and explain malformed JSON and CSRF failures in Spanish."""
    if isinstance(error, ParseError):  # DRF's text is the parser's own, in English
        error = ParseError(CUERPO_ILEGIBLE)
    elif isinstance(error, PermissionDenied) and str(error.detail).startswith(CSRF_FAILED):
        error = PermissionDenied(csrf.explain(str(error.detail).removeprefix(CSRF_FAILED), context["request"]))
    return rest.exception_handler(error, context)
