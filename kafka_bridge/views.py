"""Health and metrics for operators and their probes; the events' documentation beside the API's."""

from typing import Final

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from prometheus_client import CONTENT_TYPE_LATEST

from kafka_bridge.brokers import client
from kafka_bridge.docs import asyncapi, events_page
from kafka_bridge.errors import database_answers
from kafka_bridge.monitoring import scrape

KAFKA_SECONDS: Final = 0.2  # only told, and Kubernetes waits for one second by default


def live(_request: HttpRequest) -> HttpResponse:
    """200 while the process answers at all: anything else means restart me."""
    return JsonResponse({"estado": "vivo"})


def ready(_request: HttpRequest) -> HttpResponse:
    """200 while events can be accepted: Kafka or the database's outbox takes them, and tokens can be checked."""
    parts = {"base_de_datos": database_answers(), "kafka": client.answers(timeout=KAFKA_SECONDS)}
    ok = parts["base_de_datos"]  # without Kafka the outbox still accepts
    return JsonResponse({"listo": ok, **parts}, status=200 if ok else 503, headers={} if ok else {"Retry-After": "5"})


def metrics(_request: HttpRequest) -> HttpResponse:
    """Prometheus' text format: all web processes together, and the whole system as it is now."""
    return HttpResponse(scrape.page(), content_type=CONTENT_TYPE_LATEST)


def asyncapi_document(_request: HttpRequest) -> HttpResponse:
    """The AsyncAPI 3 document, as JSON."""
    return JsonResponse(asyncapi.document(), json_dumps_params={"ensure_ascii": False, "indent": 2})


def events(request: HttpRequest) -> HttpResponse:
    """Show the same to people, in the language of the project."""
    return render(request, "kafka_bridge/events.html", events_page.context())
