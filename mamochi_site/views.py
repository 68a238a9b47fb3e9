"""What is answered where no app does: in Spanish, as a page to a browser and as JSON to a program."""

from typing import Final

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.loader import render_to_string

NO_ENCONTRADO: Final = "No encontrado: revisa la dirección."
NO_SE_ENTIENDE: Final = "La solicitud lleva algo que no se puede leer: revisa la dirección y lo que enviaste."
ERROR_NUESTRO: Final = "Algo falló de nuestro lado y quedó registrado. Inténtalo de nuevo en un momento."


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """400 for a request that Django or the database refuses before a view understands it."""
    return _explained(request, NO_SE_ENTIENDE, status=400)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """404 for an address that leads nowhere."""
    return _explained(request, NO_ENCONTRADO, status=404)


def server_error(request: HttpRequest) -> HttpResponse:
    """500 for an error that nobody foresaw."""
    return _explained(request, ERROR_NUESTRO, status=500)


def _explained(request: HttpRequest, detail: str, *, status: int) -> HttpResponse:
    """Rendered without the request: a context processor may be what failed."""
    if "text/html" in request.headers.get("Accept", ""):
        return HttpResponse(render_to_string("mamochi_site/error.html", {"detail": detail}), status=status)
    return JsonResponse({"detail": detail}, status=status, json_dumps_params={"ensure_ascii": False})
