"""What the API's views share: whose request it is, and the answer to what was accepted."""

from collections.abc import Callable
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter
from rest_framework import status
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response

from gremio.api.paginas import is_page

FALLO: Final = "gremio.fallo"  # key in the ASGI scope; its value is an exception

CLAVE = OpenApiParameter(
    "Idempotency-Key",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    description="Un texto tuyo, de hasta 200 caracteres y distinto para cada envío (un UUID). El mismo envío con la "
    "misma clave cuenta una sola vez, aunque lo repitas horas después; otros datos con la misma clave son un 422. "
    "En una lista vale para las ventas sin `id`, por su posición y por cuántas van: una lista más larga es otro envío. "
    "Se recuerda 90 días.",
)


def maestro_id(request: Request | HttpRequest) -> UUID:
    """Return the id of the maestro who sent the request.

    Raises PermissionDenied for other users. Usually the default permission `EsMaestro` has refused
    them before the view runs.
    """
    own_id = getattr(request.user, "maestro_id", None)
    if not isinstance(own_id, UUID):
        raise PermissionDenied
    return own_id


def zona(request: Request | HttpRequest) -> ZoneInfo:
    """Return the zone of the maestro who sent the request: of times that are sent without one."""
    return zona_de(request.user)


def zona_de(usuario: Any) -> ZoneInfo:
    """Return a user's zone, or Santiago's."""
    return ZoneInfo(getattr(usuario, "zona", None) or settings.TIME_ZONE)


def raise_earlier_error(request: HttpRequest) -> None:
    """Raise what kept the server in front of Django from accepting a request."""
    if error := request.META.get("asgi.scope", {}).get(FALLO):
        raise error


def accepted(data: dict[str, Any], *, location: str = "") -> Response:
    """Return 202 for events that are in Kafka or in the outbox.

    `location` is the URL where the client can follow them.
    """
    return Response(data, status.HTTP_202_ACCEPTED, headers={"Location": location} if location else None)


def received(
    request: Request, data: dict[str, Any], *, page: Callable[[], str], message: str, location: str = ""
) -> HttpResponse:
    """Answer a request whose events are accepted: 202 to programs, a redirect to people.

    A browser's form is answered with 303 to the URL that `page` returns, where `message` is shown:
    reloading that page sends nothing again.
    """
    if not is_page(request):
        return accepted(data, location=location)
    messages.success(request._request, message)
    return HttpResponseRedirect(page(), status=status.HTTP_303_SEE_OTHER)
