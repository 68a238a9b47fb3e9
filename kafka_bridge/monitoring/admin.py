"""The admin's pages of the whole system: what is wrong and what to do, live figures, and the way of one event."""

import json
from datetime import UTC, datetime
from typing import Any, Final

from django.contrib import admin
from django.http import HttpRequest, JsonResponse
from django.template.loader import render_to_string
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from kafka_bridge.admin_base import AdminPage
from kafka_bridge.brokers.cluster_state import TopicState
from kafka_bridge.models import Panorama, Rastro
from kafka_bridge.monitoring import overview
from kafka_bridge.monitoring.lookup import result
from kafka_bridge.monitoring.overview import Overview
from kafka_bridge.monitoring.problems import duration
from kafka_bridge.monitoring.system_state import GroupState

REFRESH_SECONDS: Final = 2
REMEMBERED_SECONDS: Final = 1.0  # however many people watch


@admin.register(Panorama)
class PanoramaAdmin(AdminPage):
    """Brokers, topics, consumers, outbox and dead letters, as they are now."""

    title = "Panorama de Kafka"
    template = "kafka_bridge/admin/panorama.html"

    def get_urls(self) -> list[URLPattern]:
        data = self.admin_site.admin_view(self.data)
        return [path("datos/", data, name="kafka_bridge_panorama_data"), *super().get_urls()]

    def context(self, request: HttpRequest) -> dict[str, Any]:
        seen = overview.recent(REMEMBERED_SECONDS)
        plot: dict[str, list[Any]] = {"labels": [], "datasets": []}  # the page's script adds to it
        return {
            "refresh_ms": REFRESH_SECONDS * 1_000,
            **tables(seen),
            "figures": figures(seen),
            "plot": json.dumps(plot),
        }

    def data(self, request: HttpRequest) -> JsonResponse:
        """The tables again, and the figures that the page's script plots."""
        self.require_view_permission(request)
        seen = overview.recent(REMEMBERED_SECONDS)
        html = render_to_string("kafka_bridge/admin/panorama_tables.html", tables(seen), request)
        return JsonResponse({"html": html, **figures(seen)}, headers={"Cache-Control": "no-store"})


def figures(seen: Overview) -> dict[str, Any]:
    """What changes: lag and position by group, ends by topic. A rate is the difference of two looks."""
    return {
        "at": seen.at,
        "kafka": seen.brokers is not None,
        "lag": {group.group: group.lag for group in seen.groups if group.lag is not None},
        "applied": {group.group: sum(one.next_offset for one in group.progress) for group in seen.groups},
        "ends": {topic.name: topic.end for topic in seen.topics if topic.end is not None},
    }


def tables(seen: Overview) -> dict[str, Any]:
    """What the template of the tables shows."""
    return {
        "seen": seen,
        "all_well": overview.ALL_WELL,
        "looked_at": timezone.localtime(datetime.fromtimestamp(seen.at, UTC)),
        "topics": [_topic_row(topic) for topic in seen.topics],
        "groups": [_group_row(group) for group in seen.groups],
        "oldest": duration(seen.outbox.oldest_s),
        "dead": sum(group.open_dead_letters for group in seen.groups if not group.lane),
    }


def _topic_row(topic: TopicState) -> dict[str, Any]:
    return {
        "topic": topic,
        "leaders": sorted({partition.leader for partition in topic.partitions}),
        "in_sync": min((partition.in_sync for partition in topic.partitions), default=0),
        "replicas": max((partition.replicas for partition in topic.partitions), default=0),
        "retention": _retention(topic.retention_ms),
    }


def _retention(milliseconds: int | None) -> str:
    if milliseconds is None:
        return "?"
    return "siempre" if milliseconds < 0 else duration(milliseconds / 1_000)


def _wait(lag: int | None, seconds: float | None) -> str:
    if lag == 0:
        return "–"
    return "?" if lag is None or seconds is None else duration(seconds)


def _group_row(group: GroupState) -> dict[str, Any]:
    return {
        "group": group,
        "waiting": _wait(group.lag, group.waiting_s),
        "last_batch": parse_datetime(group.last_batch) if group.last_batch else None,
        "progress": [(one, _wait(one.lag, one.waiting_s)) for one in group.progress],
    }


@admin.register(Rastro)
class RastroAdmin(AdminPage):
    """Follows one event by its id, or by the id of the enrolment or the sale that it is about."""

    title = "Rastro de un evento"
    template = "kafka_bridge/admin/rastro.html"

    def context(self, request: HttpRequest) -> dict[str, Any]:
        text = request.GET.get("id", "").strip()
        wanted = result.parse(text)
        return {
            "text": text,
            "malformed": bool(text) and wanted is None,
            "trace": result.follow(wanted) if wanted else None,
        }
