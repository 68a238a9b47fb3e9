"""Limits that hold before a view runs."""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase, JsonResponse

GetResponse = Callable[[HttpRequest], HttpResponseBase]


def limit_body(get_response: GetResponse) -> GetResponse:
    """Answers 413 to a body over `MAX_BODY_BYTES` without reading it. A chunked body has no length and reads as empty."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        length = request.META.get("CONTENT_LENGTH") or "0"
        if length.isdecimal() and int(length) > settings.MAX_BODY_BYTES:
            detail = f"El cuerpo supera los {settings.MAX_BODY_BYTES} bytes: envíalo en partes."
            return JsonResponse({"detail": detail}, status=413, json_dumps_params={"ensure_ascii": False})
        return get_response(request)

    return middleware
