"""A page in Markdown that explains every metric and every alert."""

from pathlib import Path
from typing import Any, Final

import yaml

from kafka_bridge.telemetry.metrics import DECLARED, Declared

HEAD: Final = """\
# Metrics and alerts

Written by `manage.py metrics_page`: do not edit by hand. Metrics are declared in `kafka_bridge/telemetry/metrics.py`,
alerts in `{rules}`.

The web server exposes its metrics at `/metrics`: those of all its processes together (`PROMETHEUS_MULTIPROC_DIR`), and
those of django-prometheus. Consumers, the relay and the worker expose theirs at the port of `METRICS_PORT`
(`[HOST:]PORT`; without it, at none), which also answers `/health/live` (503: restart the process) and `/health/ready`
(503: wait). A consumer with priority lanes or a helper answers for all its processes; `lane` is `main`, the name of a
priority lane, or `helper`. No label is an id or personal data. Metrics of "web (whole system)" are computed when
Prometheus asks: with several web servers, use `max`.
"""


def alerts(rules: Path) -> list[dict[str, Any]]:
    """Return the alert rules of a file of Prometheus. Raises OSError if it cannot be read."""
    groups = yaml.safe_load(rules.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def page(rules: Path) -> str:
    """Return the whole page. Raises OSError if the alert rules cannot be read."""
    metrics = ["| metric | type | labels | where | meaning |", "|---|---|---|---|---|", *map(_metric, DECLARED)]
    alert_lines = [line for rule in alerts(rules) for line in _alert(rule)]
    lines = [HEAD.format(rules=rules), "## Metrics", "", *metrics, "", "## Alerts", "", *alert_lines]
    return "\n".join(lines).rstrip() + "\n"


def _metric(declared: Declared) -> str:
    labels = ", ".join(f"`{label}`" for label in declared.labels) or "-"
    where = ", ".join(declared.where)
    return f"| `{declared.name}` | {declared.kind} | {labels} | {where} | {declared.explanation} |"


def _alert(rule: dict[str, Any]) -> list[str]:
    wait = f", for {rule['for']}" if "for" in rule else ""
    notes = rule["annotations"]
    return [
        f"### {rule['alert']} ({rule['labels']['severity']})",
        "",
        f"{notes['summary']} {notes['description']}",
        "",
        f"`{rule['expr']}`{wait}",
        "",
    ]
