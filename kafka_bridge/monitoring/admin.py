"""Two pages of the admin: the overview of the whole system, and the lookup of an id."""

import json
from datetime import UTC, datetime
from typing import Any, Final

from django.contrib import admin
from django.http import HttpRequest, JsonResponse
from django.template.loader import render_to_string
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from kafka_bridge.admin_base import AdminPage, pasted
from kafka_bridge.brokers.cluster_state import TopicState
from kafka_bridge.models import LookupPage, OverviewPage
from kafka_bridge.monitoring import overview, problems
from kafka_bridge.monitoring.durations import duration
from kafka_bridge.monitoring.lookup import search
from kafka_bridge.monitoring.overview import Overview
from kafka_bridge.monitoring.system_state import GroupState

REFRESH_SECONDS: Final = 2
CACHED_SECONDS: Final = 1.0  # so that many viewers cost one overview


@admin.register(OverviewPage)
class OverviewPageAdmin(AdminPage):
    """Brokers, topics, consumers, outbox and dead letters, as they are now."""

    title = _("Kafka overview")
    template = "kafka_bridge/admin/overview.html"

    def get_urls(self) -> list[URLPattern]:
        data = self.admin_site.admin_view(self.data)
        return [path("data/", data, name="kafka_bridge_overviewpage_data"), *super().get_urls()]

    def context(self, request: HttpRequest) -> dict[str, Any]:
        seen = overview.recent(CACHED_SECONDS)
        empty_plot: dict[str, list[Any]] = {"labels": [], "datasets": []}  # the page's script fills it
        return {
            "refresh_ms": REFRESH_SECONDS * 1_000,
            **tables(seen),
            "figures": figures(seen),
            "plot": json.dumps(empty_plot),
        }

    def data(self, request: HttpRequest) -> JsonResponse:
        """Return the tables as HTML, and the figures that the page's script plots."""
        self.require_view_permission(request)
        seen = overview.recent(CACHED_SECONDS)
        html = render_to_string("kafka_bridge/admin/overview_tables.html", tables(seen), request)
        return JsonResponse({"html": html, **figures(seen)}, headers={"Cache-Control": "no-store"})


def figures(seen: Overview) -> dict[str, Any]:
    """Return lag and applied messages by group, and stored messages by topic.

    The page's script computes rates: the difference of two overviews.
    """
    return {
        "at": seen.at,
        "kafka": seen.brokers is not None,
        "lag": {group.group: group.lag for group in seen.groups if group.lag is not None},
        "applied": {group.group: group.applied for group in seen.groups},
        "ends": {topic.name: topic.end for topic in seen.topics if topic.end is not None},
    }


def tables(seen: Overview) -> dict[str, Any]:
    """Return the context of the tables' template."""
    return {
        "seen": seen,
        "all_well": problems.ALL_WELL,
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
    return gettext("forever") if milliseconds < 0 else duration(milliseconds / 1_000)


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


@admin.register(LookupPage)
class LookupPageAdmin(AdminPage):
    """The page that shows where an event is, by its id or by the id of a row that it led to."""

    title = _("Event lookup")
    template = "kafka_bridge/admin/lookup.html"

    def context(self, request: HttpRequest) -> dict[str, Any]:
        text = pasted(request.GET.get("id", ""))
        wanted = search.parse(text)
        return {
            "text": text,
            "malformed": bool(text) and wanted is None,
            "lookup": search.look_up(wanted) if wanted else None,
        }
