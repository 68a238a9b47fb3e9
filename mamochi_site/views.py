"""What is answered where no app does: in Spanish, as a page to a browser and as JSON to a program."""

import sys
from typing import Final

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.loader import render_to_string

from kafka_bridge.producer import RETRY_AFTER_SECONDS

NO_ENCONTRADO: Final = "No encontrado: revisa la dirección."
NO_SE_ENTIENDE: Final = "La solicitud lleva algo que no se puede leer: revisa la dirección y lo que enviaste."
SIN_SERVICIO: Final = "El servicio no está disponible en este momento. Inténtalo de nuevo en unos segundos."
ERROR_NUESTRO: Final = "Algo falló de nuestro lado y quedó registrado. Inténtalo de nuevo en un momento."


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """400 for a request that Django or the database refuses before a view understands it."""
    return _explained(request, NO_SE_ENTIENDE, status=400)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """404 for an address that leads nowhere."""
    return _explained(request, NO_ENCONTRADO, status=404)


def server_error(request: HttpRequest) -> HttpResponse:
    """500 for an error that nobody foresaw; 503 where the database is away, be it for the session alone."""
    if not isinstance(sys.exception(), OperationalError | InterfaceError):
        return _explained(request, ERROR_NUESTRO, status=500)
    response = _explained(request, SIN_SERVICIO, status=503)
    response.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return response


def _explained(request: HttpRequest, detail: str, *, status: int) -> HttpResponse:
    """Rendered without the request: a context processor may be what failed."""
    if "text/html" in request.headers.get("Accept", ""):
        return HttpResponse(render_to_string("mamochi_site/error.html", {"detail": detail}), status=status)
    return JsonResponse({"detail": detail}, status=status, json_dumps_params={"ensure_ascii": False})
