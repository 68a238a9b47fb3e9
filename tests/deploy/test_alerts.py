"""The alert rules use metrics that exist and say what to do; the page that lists them is fresh."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.management import call_command

from kafka_bridge.monitoring import metrics_page
from kafka_bridge.telemetry import metrics

PAGE, RULES = Path("docs/metrics.md"), Path("deploy/prometheus/alerts.yml")
ALERTS = metrics_page.alerts(settings.BASE_DIR / RULES)

LABELS = {
    **{one.name: {*one.labels} for one in metrics.DECLARED},
    **{f"{one.name}_bucket": {*one.labels, "le"} for one in metrics.DECLARED if one.kind == "histogram"},
    **{f"{one.name}_sum": {*one.labels} for one in metrics.DECLARED if one.kind == "histogram"},
    **{f"{one.name}_count": {*one.labels} for one in metrics.DECLARED if one.kind == "histogram"},
    "django_http_responses_total_by_status_total": {"status"},
    "up": {"job", "instance"},
}
SELECTOR = re.compile(r"\b([a-z]\w*)(?:\{([^}]*)\})?(\[\w+\])?")
NO_METRICS = {"and", "or", "unless", "by", "without", "on", "ignoring"}


def test_page_of_metrics_is_up_to_date(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(settings.BASE_DIR)
    call_command("metrics_page", str(PAGE), str(RULES), check=True)
    page = PAGE.read_text()
    for declared in metrics.DECLARED:
        assert f"`{declared.name}`" in page
    for rule in ALERTS:
        assert f"### {rule['alert']} " in page


def selectors(expression: str) -> list[tuple[str, set[str], bool]]:
    """Return each metric of the expression, the labels that select it, and whether over a time."""
    bare = re.sub(r"\b(by|without|on|ignoring) \([^)]*\)", "", expression)
    bare = re.sub(r"\b\w+\s*\(", "(", bare)  # functions
    found = [match.groups(default="") for match in SELECTOR.finditer(bare) if match[1] not in NO_METRICS]
    return [(name, set(re.findall(r"(\w+)\s*[=!]", chosen)), bool(over)) for name, chosen, over in found]


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_alert_uses_metrics_and_labels_that_exist(rule: dict[str, Any]) -> None:
    expression, used = rule["expr"], selectors(rule["expr"])
    assert used
    for name, chosen, _ in used:
        assert name in LABELS, f"{name} is no metric"
        assert chosen <= LABELS[name] | {"job"}
    grouped = {label.strip() for by in re.findall(r"by \(([^)]*)\)", expression) for label in by.split(",")}
    assert grouped <= set().union(*(LABELS[name] for name, *_ in used))
    assert not grouped or all(grouped & LABELS[name] for name, *_ in used), "its sides never match"
    for counter in re.findall(r"(?:rate|increase|delta)\((\w+)", expression):
        assert re.search(rf"{counter}(\{{[^}}]*\}})?\[\d+m\]", expression)
        assert counter.endswith(("_total", "_bucket")) or f"delta({counter}" in expression
    assert expression.count("(") == expression.count(")")
    left = grouped or (LABELS[used[0][0]] if "(" not in expression or "time()" in expression else set())
    assert set(re.findall(r"\$labels\.(\w+)", json.dumps(rule["annotations"]))) <= left


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_alert_says_what_to_do_and_when(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in ("page", "ticket")
    assert len(rule["annotations"]["description"]) > 30
    assert re.fullmatch(r"\d+m", rule.get("for", "1m"))


def test_lag_is_added_up_once_for_many_webs() -> None:
    [rule] = [one for one in ALERTS if one["alert"] == "ConsumerLagging"]
    assert rule["expr"].count("sum by (consumer) (max by (consumer, topic, partition) (") == 2


@pytest.mark.parametrize(
    "alert",
    [
        "SiteDown",
        "ProcessDown",
        "BeatStopped",
        "WorkerStopped",
        "WeekNotClosed",
        "EmailsLate",
        "EmailsFailing",
        "DatabaseDown",
    ],
)
def test_silent_failures_have_an_alert(alert: str) -> None:
    assert alert in {rule["alert"] for rule in ALERTS}
