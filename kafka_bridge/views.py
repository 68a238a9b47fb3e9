"""Health and metrics for operators and their probes, and the documentation of the events."""

from typing import Final

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from prometheus_client import CONTENT_TYPE_LATEST

from kafka_bridge.brokers import client
from kafka_bridge.diagnosis import database_answers
from kafka_bridge.docs import asyncapi, events_page
from kafka_bridge.monitoring import scrape

KAFKA_SECONDS: Final = 0.2  # Kafka's answer does not decide, and Kubernetes waits for one second by default


def live(_request: HttpRequest) -> HttpResponse:
    """Return 200. If the process cannot do even that, restart it."""
    return JsonResponse({"status": "alive"})


def ready(_request: HttpRequest) -> HttpResponse:
    """Return 200 while events can be accepted and tokens can be checked, otherwise 503.

    Both need the database. Without Kafka, the outbox accepts events.
    """
    parts = {"database": database_answers(), "kafka": client.answers(timeout=KAFKA_SECONDS)}
    ok = parts["database"]
    return JsonResponse({"ready": ok, **parts}, status=200 if ok else 503, headers={} if ok else {"Retry-After": "5"})


def metrics(_request: HttpRequest) -> HttpResponse:
    """Return Prometheus' text format: all web processes together, and the whole system."""
    return HttpResponse(scrape.page(), content_type=CONTENT_TYPE_LATEST)


def asyncapi_document(_request: HttpRequest) -> HttpResponse:
    """Return the AsyncAPI 3 document as JSON."""
    return JsonResponse(asyncapi.document(), json_dumps_params={"ensure_ascii": False, "indent": 2})


def events(request: HttpRequest) -> HttpResponse:
    """Show the same document to people, in the language of the project."""
    return render(request, "kafka_bridge/events.html", events_page.context())
