"""One sale that a program sends, on the shortest way: without what DRF does for pages.

Of a sale's CPU DRF took a fifth: a request around the request, the choice of a renderer, the
address by its route's name, a response as a template. What is accepted, and by which rules, is
decided by the same functions as in `VentaViewSet.create`. Whatever is not plain (a list, a form, a
browser, a query, a body or a token with an error) is left to DRF from its beginning on; nothing has
been published then.
"""

from collections.abc import Mapping
from io import BytesIO
from typing import Any, Final, NamedTuple
from uuid import UUID, uuid4

import msgspec
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from rest_framework.exceptions import APIException
from rest_framework.renderers import JSONRenderer
from rest_framework.views import APIView

from gremio.api.errors import exception_handler
from gremio.api.json_parser import JSONParser
from gremio.api.requests import maestro_id, zona
from kafka_bridge.exceptions import MessageTooLarge, Unavailable
from ventas.api import aceptacion
from ventas.api.aceptacion import Remitente

JSON: Final = "application/json"
ANSWERED_IN_JSON: Final = (None, "*/*", JSON)
# What DRF's exception handler answers. The rest is an error of ours.
ANSWERABLE: Final = (APIException, MessageTooLarge, Unavailable, OperationalError, InterfaceError)


class _Sent(NamedTuple):
    user: Any
    datos: dict[str, Any]


def accept(request: HttpRequest, view: APIView) -> HttpResponse | None:
    """Accept the sale and return the answer; None if DRF must look at the request."""
    if not _is_plain(request.META):
        return None
    try:
        sent = _read(request, view)
        return None if sent is None else _accepted(request, view, sent)
    except ANSWERABLE as error:
        answer = exception_handler(error, {"view": view, "request": request})
        if answer is None:
            raise
        return _json(view, JSONRenderer().render(answer.data), answer.status_code, answer.headers)


def _is_plain(meta: Mapping[str, Any]) -> bool:
    """Return whether a program sends JSON and wants JSON, with a token and no further wishes."""
    return bool(
        meta.get("CONTENT_TYPE") == JSON
        and meta.get("HTTP_ACCEPT") in ANSWERED_IN_JSON
        and meta.get("HTTP_AUTHORIZATION")
        and not meta.get("QUERY_STRING")
        # A retry that can be told by its key: rare, and DRF's request reads the key.
        and "HTTP_IDEMPOTENCY_KEY" not in meta
    )


def _read(request: HttpRequest, view: APIView) -> _Sent | None:
    """Return who sends what; None where DRF answers otherwise than with 202."""
    try:
        found = view.authentication_classes[0]().authenticate(request)  # type: ignore[arg-type]
        datos = JSONParser().parse(BytesIO(request.body))
    except APIException:
        return None
    plain = found is not None and isinstance(datos, dict) and isinstance(getattr(found[0], "maestro_id", None), UUID)
    return _Sent(found[0], datos) if found is not None and plain else None


def _accepted(request: HttpRequest, view: APIView, sent: _Sent) -> HttpResponse:
    request.user = sent.user
    remitente = Remitente(maestro_id(request), id_for=lambda _: uuid4(), con_clave=False, zona=zona(request))
    aceptada = aceptacion.aceptar_una(sent.datos, remitente=remitente, ahora=timezone.now())
    location = request.build_absolute_uri(f"{request.path}{aceptada.id}/")
    return _json(view, msgspec.json.encode({"id": aceptada.id}), 202, {"Location": location})


def _json(view: APIView, content: bytes, status: int, headers: Mapping[str, str]) -> HttpResponse:
    """Return the response with the headers that DRF adds."""
    always = {"Allow": ", ".join(view.allowed_methods), "Vary": "Accept"}
    return HttpResponse(content, status=status, headers={**always, **headers, "Content-Type": JSON})
