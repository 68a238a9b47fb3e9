from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from kafka_bridge.monitoring import metrics_page
from kafka_bridge.telemetry.metrics import DECLARED

RULES = """
groups:
  - name: bookshop
    rules:
      - alert: OrdersLate
        expr: max(orders_late) > 0
        for: 5m
        labels: {severity: page}
        annotations: {summary: Orders are late., description: Check the worker.}
"""


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    path = tmp_path / "alerts.yml"
    path.write_text(RULES)
    return path


def test_page_explains_metrics_and_alerts(rules: Path) -> None:
    page = metrics_page.page(rules)
    for declared in DECLARED:
        assert f"| `{declared.name}` | {declared.kind} |" in page
    assert "### OrdersLate (page)\n\nOrders are late. Check the worker.\n\n`max(orders_late) > 0`, for 5m" in page


def test_check_finds_a_page_out_of_date(rules: Path, tmp_path: Path) -> None:
    page = tmp_path / "metrics.md"
    with pytest.raises(CommandError, match="is out of date: run manage"):
        call_command("metrics_page", str(page), str(rules), check=True)
    call_command("metrics_page", str(page), str(rules), verbosity=0)
    call_command("metrics_page", str(page), str(rules), check=True)
    page.write_text(page.read_text() + "x")
    with pytest.raises(CommandError):
        call_command("metrics_page", str(page), str(rules), check=True)


def test_missing_rules_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="Cannot read the alert rules"):
        call_command("metrics_page", str(tmp_path / "metrics.md"), str(tmp_path / "none.yml"))
