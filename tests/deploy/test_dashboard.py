"""The dashboard of Grafana shows the metrics that exist."""

import json
import re

from django.conf import settings

from kafka_bridge.telemetry import metrics

DASHBOARD = settings.BASE_DIR / "deploy/grafana/mamochi.json"
NAME = re.compile(r"\b(mamochi_\w+|django_\w+)")
LEFT_OUT = {"mamochi_consumer_lag_messages", "mamochi_last_step_timestamp_seconds", "mamochi_outbox_oldest_seconds"}


def known_names() -> set[str]:
    """Return the metrics' names in Prometheus, those of histograms included."""
    suffixes = ("_bucket", "_sum", "_count")
    histograms = {f"{one.name}{suffix}" for one in metrics.DECLARED if one.kind == "histogram" for suffix in suffixes}
    declared = {one.name for one in metrics.DECLARED}
    return declared | histograms | {"django_http_responses_total_by_status_total"}


def test_dashboard_shows_existing_metrics() -> None:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    used = {name for panel in panels for target in panel["targets"] for name in NAME.findall(target["expr"])}
    assert used <= known_names()
    shown = {one.name for one in metrics.DECLARED if any(name.startswith(one.name) for name in used)}
    assert {one.name for one in metrics.DECLARED} - shown == LEFT_OUT
