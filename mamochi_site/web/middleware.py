"""Middleware: checks of requests before a view runs, and headers of responses."""

import logging
from collections.abc import Callable
from typing import Final

from csp.constants import HEADER, UNSAFE_EVAL
from csp.middleware import CSPMiddleware, PolicyParts
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import DataError
from django.http import (
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    HttpResponsePermanentRedirect,
    JsonResponse,
    UnreadablePostError,
)
from django.middleware.security import SecurityMiddleware
from django.urls import is_valid_path

from mamochi_site.web.threads import FULL
from mamochi_site.web.views import bad_request, unavailable

logger = logging.getLogger(__name__)

DEMASIADA_GENTE: Final = "Hay demasiada gente a la vez. No se guardó nada: inténtalo de nuevo en unos segundos."
NOT_A_PAGE_POLICY: Final = "default-src 'none'; frame-ancestors 'none'"

# Addresses of operators, which end without a slash
WITHOUT_SLASH: Final = ("/health/", "/metrics/")

GetResponse = Callable[[HttpRequest], HttpResponseBase]


def refuse_what_is_too_much(get_response: GetResponse) -> GetResponse:
    """Answer 503 to a request that would wait behind too many others (threads.py)."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        if FULL in request.META.get("asgi.scope", {}):
            return unavailable(request, DEMASIADA_GENTE)
        return get_response(request)

    return middleware


def limit_body(get_response: GetResponse) -> GetResponse:
    """Answer 413 to a body over `MAX_BODY_BYTES`, without reading the body.

    `chunked.py` gives a chunked body its length, if the server supports that; otherwise the answer
    is 411, because Django would read the body as empty.
    """

    def middleware(request: HttpRequest) -> HttpResponseBase:
        length = request.META.get("CONTENT_LENGTH") or "0"
        if length.isdecimal() and int(length) > settings.MAX_BODY_BYTES:
            return _refusal(413, f"El cuerpo supera los {settings.MAX_BODY_BYTES} bytes: envíalo en partes.")
        if "HTTP_TRANSFER_ENCODING" in request.META and not request.META.get("CONTENT_LENGTH"):
            return _refusal(411, "Falta el largo del cuerpo: envíalo entero, con Content-Length.")
        return get_response(request)

    return middleware


def refuse_compressed_body(get_response: GetResponse) -> GetResponse:
    """Answer 415 to a compressed body: no view unpacks one, so its fields would look missing."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        coding = request.META.get("HTTP_CONTENT_ENCODING", "").strip().lower()
        if coding not in ("", "identity"):
            return _refusal(415, "No se leen cuerpos comprimidos: envíalo sin comprimir y sin Content-Encoding.")
        return get_response(request)

    return middleware


def accept_either_slash(get_response: GetResponse) -> GetResponse:
    """Serve `/api/v1/ventas` as `/api/v1/ventas/`, and `/metrics/` as `/metrics`.

    Django would redirect, and clients follow a redirect of a POST with a GET: nothing is done, and
    the answer is 200. In the admin a GET is still redirected, because links in its pages are
    relative.
    """

    def middleware(request: HttpRequest) -> HttpResponseBase:
        path = request.path_info
        if path.startswith(WITHOUT_SLASH) and path.endswith("/"):
            request.path_info, request.path = path[:-1], request.path[:-1]
        elif _lacks_slash(request) and is_valid_path(f"{path}/"):
            request.path_info, request.path = f"{path}/", f"{request.path}/"
        return get_response(request)

    return middleware


def _lacks_slash(request: HttpRequest) -> bool:
    path = request.path_info
    if path.endswith("/"):
        return False
    reads = request.method in ("GET", "HEAD")
    return path.startswith("/api/") or (path.startswith("/admin") and not reads)


class Security(SecurityMiddleware):
    """Redirect to HTTPS with 308 instead of 301, so that a POST stays a POST."""

    def process_request(self, request: HttpRequest) -> HttpResponsePermanentRedirect | None:
        redirect = super().process_request(request)
        if redirect is not None:
            redirect.status_code = 308
        return redirect


def require_utf8(get_response: GetResponse) -> GetResponse:
    """Answer 415 to a request that names a charset other than UTF-8.

    Otherwise Django decodes body and query with any codec that the request names, even with zlib,
    which Python has among its codecs.
    """

    def middleware(request: HttpRequest) -> HttpResponseBase:
        charset = (request.content_params or {}).get("charset", "utf-8")
        if charset.lower() not in ("utf-8", "utf8"):
            return _refusal(415, "Solo se lee UTF-8: quita el charset del Content-Type o escribe charset=utf-8.")
        return get_response(request)

    return middleware


class RejectInvalidValues:
    """Answer 400 for values that PostgreSQL or a model's field rejects, and for a torn body.

    Examples are a NUL character in a path or cookie, and a malformed id.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """Turn such an exception into a 400; leave every other exception to Django."""
        if not isinstance(exception, DataError | ValidationError | OverflowError | UnreadablePostError):
            return None
        logger.warning("refused %s %s: %s", request.method, request.path_info, type(exception).__name__)
        return bad_request(request, exception)


def no_store_for_users(get_response: GetResponse) -> GetResponse:
    """Forbid caches to store a response to a request with credentials.

    After logging out, a phone's back button then shows nothing.
    """

    def middleware(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        if "HTTP_AUTHORIZATION" in request.META or settings.SESSION_COOKIE_NAME in request.COOKIES:
            response.setdefault("Cache-Control", "no-store")
        return response

    return middleware


class ContentSecurityPolicy(CSPMiddleware):
    """Add the content security policy to each response.

    HTML responses get the policy from settings. Others get a constant one (`default-src 'none'`),
    because building the full policy costs 0.1 ms per request. Only the admin may evaluate
    expressions (`unsafe-eval`): unfold's pages contain expressions for Alpine.
    """

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        if response.get("Content-Type", "").startswith("text/html"):
            return super().process_response(request, response)
        response.setdefault(HEADER, NOT_A_PAGE_POLICY)
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
