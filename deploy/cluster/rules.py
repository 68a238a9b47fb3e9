"""`python -m deploy.cluster.rules`: write the PrometheusRule from deploy/prometheus/alerts.yml."""

from pathlib import Path
from textwrap import indent

DEPLOY = Path(__file__).parents[1]
ALERTS = DEPLOY / "prometheus" / "alerts.yml"
RULES = DEPLOY / "kubernetes" / "components" / "monitoring" / "rules.yaml"
HEAD = """\
# Written from deploy/prometheus/alerts.yml by `python -m deploy.cluster.rules`: do not edit by hand.
# yamllint disable rule:line-length
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: mamochi
spec:
"""


def prometheus_rule() -> str:
    """Return the text of the PrometheusRule: the groups of alerts as they are."""
    groups = "groups:" + ALERTS.read_text().split("\ngroups:", 1)[1]
    return HEAD + indent(groups, "  ")


if __name__ == "__main__":
    RULES.write_text(prometheus_rule())
