"""Limits that hold before a view runs."""

import logging
from collections.abc import Callable
from typing import Final

from csp.constants import HEADER, UNSAFE_EVAL
from csp.middleware import CSPMiddleware, PolicyParts
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import DataError
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse

from mamochi_site.views import bad_request

logger = logging.getLogger(__name__)

NO_PAGE: Final = "default-src 'none'; frame-ancestors 'none'"

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


def nobody_else_sees(get_response: GetResponse) -> GetResponse:
    """What somebody in particular was answered stays in no cache: a phone's back button shows nothing after logging out."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        if "Authorization" in request.headers or settings.SESSION_COOKIE_NAME in request.COOKIES:
            response.setdefault("Cache-Control", "no-store")
        return response

    return middleware


class ContentSecurityPolicy(CSPMiddleware):
    """Pages have the policy of the settings; what is none may load nothing, which a sale need not wait 0.1 ms to be told.

    Unfold's pages hold expressions that Alpine evaluates: in the administration, and nowhere else, that is allowed.
    """

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        if response.get("Content-Type", "").startswith("text/html"):
            return super().process_response(request, response)
        response.setdefault(HEADER, NO_PAGE)
        return response

    def get_policy_parts(
        self, request: HttpRequest, response: HttpResponseBase, report_only: bool = False
    ) -> PolicyParts:
        parts = super().get_policy_parts(request, response, report_only)
        if request.path_info.startswith("/admin/"):
            parts.update = {"script-src": [UNSAFE_EVAL]}
        return parts


def _refusal(status: int, detail: str) -> JsonResponse:
    return JsonResponse({"detail": detail}, status=status, json_dumps_params={"ensure_ascii": False})
