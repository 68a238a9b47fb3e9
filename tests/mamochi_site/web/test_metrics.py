"""The counters of requests are django-prometheus' own, with the same labels and figures."""

from typing import Any

import pytest
from django.http import HttpResponse
from django.template.response import SimpleTemplateResponse
from django.test import RequestFactory
from django.urls import resolve
from django_prometheus.middleware import PrometheusAfterMiddleware
from prometheus_client import REGISTRY

from mamochi_site.web.metrics import CountRequests

PREFIX = "django_http_"


def counted() -> dict[Any, float]:
    """Return what every request counter and histogram shows, without durations."""
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for metric in REGISTRY.collect()
        if metric.name.startswith(PREFIX) and "latency" not in metric.name
        for sample in metric.samples
        if not sample.name.endswith("_created")
    }


def increase(middleware: PrometheusAfterMiddleware, **headers: Any) -> dict[Any, float]:
    """Return by how much the counters grow by one POST."""
    before = counted()
    request = RequestFactory().post("/api/v1/ventas/", b"{}", content_type="application/json", headers=headers)
    match = request.resolver_match = resolve("/api/v1/ventas/")
    middleware.process_request(request)
    middleware.process_view(request, match.func, match.args, match.kwargs)
    middleware.process_template_response(request, SimpleTemplateResponse("hola.html"))
    middleware.process_response(request, HttpResponse("hola", status=202))
    return {key: value - before.get(key, 0) for key, value in counted().items() if value != before.get(key, 0)}


@pytest.mark.parametrize("headers", [{}, {"X-Requested-With": "XMLHttpRequest"}], ids=["program", "script of a page"])
def test_counts_are_those_of_the_library(headers: dict[str, str]) -> None:
    library, ours = PrometheusAfterMiddleware(lambda _: HttpResponse()), CountRequests(lambda _: HttpResponse())
    expected = increase(library, **headers)
    assert len(expected) > 8
    assert increase(ours, **headers) == expected
    assert increase(ours, **headers) == expected, "counters that were found before"
