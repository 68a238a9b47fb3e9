"""The admin's login and the error pages, in Spanish: HTML for browsers, JSON for programs."""

import sys
from datetime import timedelta
from typing import Any, Final

from axes.models import AccessAttempt
from django.conf import settings
from django.contrib import admin
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.loader import render_to_string
from django.utils import timezone

from gremio import csrf
from inscripciones.api.throttling import LimiteEntradas
from kafka_bridge.diagnosis import is_server_trouble
from kafka_bridge.publishing.producer import RETRY_AFTER_SECONDS

SIN_PERMISO: Final = "Tu usuario no tiene permiso para esto: pídelo a quien administra el sistema."
NO_ENCONTRADO: Final = "No encontrado: revisa la dirección."
NO_SE_ENTIENDE: Final = "La solicitud lleva algo que no se puede leer: revisa la dirección y lo que enviaste."
SIN_SERVICIO: Final = "El servicio no está disponible en este momento. Inténtalo de nuevo en unos segundos."
ERROR_NUESTRO: Final = "Algo falló de nuestro lado y quedó registrado. Inténtalo de nuevo en un momento."
DEMASIADOS: Final = "Son muchos intentos seguidos. Espera un minuto y prueba otra vez."
CLOCKS_DIFFER: Final = timedelta(seconds=2)  # between the machines of the web processes
BLOQUEADO: Final = (
    "Fueron demasiadas claves equivocadas: por seguridad, ese acceso queda cerrado. Prueba otra vez en {} minutos."
)


def admin_login(request: HttpRequest) -> HttpResponse:
    """Show the admin's login form.

    Attempts are limited per address (429), and the session lasts ADMIN_SESSION_AGE, a working day.
    """
    limit = LimiteEntradas()
    if request.method == "POST" and not limit.allow_request(request, None):
        return _error(request, DEMASIADOS, status=429, retry_after=limit.retry_after)
    if request.method == "POST":
        _forget_attempts_of_the_future()
    response = admin.site.login(request)
    if request.method == "POST" and request.user.is_authenticated:
        request.session.set_expiry(settings.ADMIN_SESSION_AGE)
    return response


def _forget_attempts_of_the_future() -> None:
    """Forget attempts that a clock dated which was ahead: their lock would last until that time."""
    AccessAttempt.objects.filter(attempt_time__gt=timezone.now() + CLOCKS_DIFFER).delete()


def locked_out(request: HttpRequest, _response: HttpResponse, _credentials: Any) -> HttpResponse:
    """Answer 429 to a login that django-axes has locked (settings AXES_*)."""
    seconds = int(settings.AXES_COOLOFF_TIME.total_seconds())
    return _error(request, BLOQUEADO.format(seconds // 60), status=429, retry_after=str(seconds))


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Answer 403 to a form that fails Django's CSRF check, with the true reason."""
    return _error(request, csrf.explain(reason, request), status=403)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer 400 to a request that Django or the database rejects."""
    return _error(request, NO_SE_ENTIENDE, status=400)


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer 403 to a user without the permission."""
    return _error(request, SIN_PERMISO, status=403)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer 404 to an unknown address."""
    return _error(request, NO_ENCONTRADO, status=404)


def server_error(request: HttpRequest) -> HttpResponse:
    """Answer 503 if a server is unreachable or in trouble, 500 for any other unexpected error."""
    error = sys.exception()
    if error is None or not (isinstance(error, OperationalError | InterfaceError) or is_server_trouble(error)):
        return _error(request, ERROR_NUESTRO, status=500)
    return unavailable(request, SIN_SERVICIO)


def unavailable(request: HttpRequest, detail: str) -> HttpResponse:
    """Answer 503 to a request that may be sent again soon."""
    return _error(request, detail, status=503, retry_after=str(RETRY_AFTER_SECONDS))


def _error(request: HttpRequest, detail: str, *, status: int, retry_after: str = "") -> HttpResponse:
    """Return the error as the client accepts it.

    The page is rendered without the request, because a context processor may have caused the error.
    """
    headers = {"Retry-After": retry_after} if retry_after else {}
    if "text/html" in request.headers.get("Accept", ""):
        page = render_to_string("mamochi_site/error.html", {"detail": detail})
        return HttpResponse(page, status=status, headers=headers)
    answer = {"detail": detail}
    return JsonResponse(answer, status=status, headers=headers, json_dumps_params={"ensure_ascii": False})
