"""Limits that hold before a view runs."""

import logging
from collections.abc import Callable

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import DataError
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse

from mamochi_site.views import bad_request

logger = logging.getLogger(__name__)

GetResponse = Callable[[HttpRequest], HttpResponseBase]


def limit_body(get_response: GetResponse) -> GetResponse:
    """Answers 413 to a body over `MAX_BODY_BYTES` without reading it. A chunked body has no length and reads as empty."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        length = request.META.get("CONTENT_LENGTH") or "0"
        if length.isdecimal() and int(length) > settings.MAX_BODY_BYTES:
            return _refusal(413, f"El cuerpo supera los {settings.MAX_BODY_BYTES} bytes: envíalo en partes.")
        return get_response(request)

    return middleware


def only_utf8(get_response: GetResponse) -> GetResponse:
    """Answers 415 to any other charset: Django would decode body and query by whatever codec is named, zlib included."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        charset = (request.content_params or {}).get("charset", "utf-8")
        if charset.lower() not in ("utf-8", "utf8"):
            return _refusal(415, "Solo se lee UTF-8: quita el charset del Content-Type o escribe charset=utf-8.")
        return get_response(request)

    return middleware


def impossible_values(get_response: GetResponse) -> GetResponse:
    """Answers 400 where a value cannot be, to PostgreSQL or to its column: a NUL in an address or cookie, an id that is none."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        return get_response(request)

    def process_exception(request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if not isinstance(exception, DataError | ValidationError | OverflowError):
            return None
        logger.warning("refused %s %s: %s", request.method, request.path_info, type(exception).__name__)
        return bad_request(request, exception)

    middleware.process_exception = process_exception  # type: ignore[attr-defined]  # where Django looks for it
    return middleware


def _refusal(status: int, detail: str) -> JsonResponse:
    return JsonResponse({"detail": detail}, status=status, json_dumps_params={"ensure_ascii": False})
