"""Middleware that logs requests, starts their traces and answers probes."""

import time
from collections.abc import Callable
from typing import Final
from uuid import UUID

from django.http import HttpRequest, HttpResponseBase
from django.urls import Resolver404, resolve

from kafka_bridge.telemetry import logs, traceparent

logger = logs.logger("kafka_bridge.request")

GetResponse = Callable[[HttpRequest], HttpResponseBase]
BEGAN: Final = "kafka_bridge.began"  # key in the ASGI scope; perf_counter
PROBES: Final = ("/health/", "/metrics")
_TRACEPARENT: Final = f"HTTP_{traceparent.HEADER.upper()}"
NOT_LOGGED: Final = (*PROBES, "/static/")  # probes come every few seconds


def log_requests(get_response: GetResponse) -> GetResponse:
    """Log one line per request and start the trace that its events and tasks inherit.

    The line has the route, never the address or the query: people type personal data there.
    The request's own `traceparent` is continued if it has one. The response's header `traceparent`
    names the trace.
    """

    def middleware(request: HttpRequest) -> HttpResponseBase:
        began = began_at(request)
        trace_id = traceparent.trace_id_of(request.META.get(_TRACEPARENT))
        with traceparent.continued(trace_id), logs.collected_events() as published:
            response = get_response(request)
            response[traceparent.HEADER] = traceparent.current()
            if not request.path_info.startswith(NOT_LOGGED):
                log_request(request, response.status_code, published, time.perf_counter() - began)
        return response

    return middleware


def probes_before_host_check(get_response: GetResponse) -> GetResponse:
    """Answer health and metrics for any `Host` header.

    Kubernetes probes use a pod's address, and Prometheus uses a service's name. ALLOWED_HOSTS
    lists neither. Place this middleware before those that call `request.get_host()`.
    """

    def middleware(request: HttpRequest) -> HttpResponseBase:
        if not request.path_info.startswith(PROBES):
            return get_response(request)
        try:
            view = resolve(request.path_info).func
        except Resolver404:
            return get_response(request)
        response: HttpResponseBase = view(request)
        return response

    return middleware


def began_at(request: HttpRequest) -> float:
    """Return when the request began (perf_counter): now, or as the server in front noted."""
    began: float = request.META.get("asgi.scope", {}).get(BEGAN) or time.perf_counter()
    return began


def log_request(request: HttpRequest, status: int, published: list[UUID], seconds: float) -> None:
    """Write the line of an answered request, with its route and the ids that it published."""
    route = request.resolver_match.route if request.resolver_match else "-"
    line = {"method": request.method, "route": route, "status": status, "ms": round(seconds * 1_000, 1)}
    logger.info("request", **line, **(logs.ids_summary(published) if published else {}))
