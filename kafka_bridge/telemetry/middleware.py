"""One log line a request, and the trace that what it causes goes on with."""

import time
from collections.abc import Callable
from typing import Any, Final
from uuid import UUID

from django.http import HttpRequest, HttpResponseBase
from django.urls import Resolver404, resolve

from kafka_bridge.telemetry import logs, traceparent

logger = logs.logger("kafka_bridge.request")

GetResponse = Callable[[HttpRequest], HttpResponseBase]
PROBES: Final = ("/health/", "/metrics", "/static/")  # asked for every few seconds: not worth a line


def log_requests(get_response: GetResponse) -> GetResponse:
    """Logs each request with its route, never its address or query: people search for a RUT there.

    A request's own `traceparent` is continued, otherwise a trace begins; the answer's header `traceparent` names it.
    """

    def middleware(request: HttpRequest) -> HttpResponseBase:
        began = time.perf_counter()
        trace_id = traceparent.trace_id_of(request.headers.get(traceparent.HEADER))
        with traceparent.continued(trace_id), logs.collected_events() as published:
            response = get_response(request)
            response[traceparent.HEADER] = traceparent.current()
            if not request.path_info.startswith(PROBES):
                logger.info("request", **_line(request, response, published, time.perf_counter() - began))
        return response

    return middleware


def answer_probes(get_response: GetResponse) -> GetResponse:
    """Health and metrics whatever `Host` says: probes come by a pod's address, Prometheus by a service's name."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        try:
            view = resolve(request.path_info).func if request.path_info.startswith(("/health/", "/metrics")) else None
        except Resolver404:
            view = None
        return view(request) if view else get_response(request)

    return middleware


def _line(request: HttpRequest, response: HttpResponseBase, published: list[UUID], seconds: float) -> dict[str, Any]:
    route = request.resolver_match.route if request.resolver_match else "-"
    line = {"method": request.method, "route": route, "status": response.status_code, "ms": round(seconds * 1_000, 1)}
    return line | (logs.bounded(published) if published else {})
