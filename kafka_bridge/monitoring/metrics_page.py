"""docs/metricas.md from what is declared: every metric, every log line, every alert. A test fails where it is out of date."""

from pathlib import Path
from typing import Any, Final

import yaml

from kafka_bridge.telemetry.metrics import DECLARED, Declared

ALERTS: Final = Path("deploy/prometheus/alerts.yml")
PAGE: Final = Path("docs/metricas.md")
HEAD: Final = """\
# Métricas y alertas

Escrita por `manage.py metrics_page`: no se edita a mano. Se declara en `kafka_bridge/metrics.py` y en
`deploy/prometheus/alerts.yml`; el tablero de Grafana está en `deploy/grafana/mamochi.json`.

Quién las expone: la web en `/metrics`, con todos sus procesos juntos (`PROMETHEUS_MULTIPROC_DIR`), además de las de
django-prometheus; consumidores, relay y worker en el puerto de `METRICS_PORT` (`[HOST:]PUERTO`; sin él, en ninguno), que
también responde `/health/live` (503: reiníciame) y `/health/ready` (503: espérame); `aprobacion`, por sus dos procesos.
Ninguna etiqueta es un id ni un dato personal. Las de «la web, al preguntar» miran el sistema entero en ese momento: con
varias webs, usa `max`.
"""


def alerts(root: Path) -> list[dict[str, Any]]:
    """The rules, as Prometheus reads them."""
    groups = yaml.safe_load((root / ALERTS).read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def page(root: Path) -> str:
    """The whole page. Raises OSError where the rules are not there."""
    metrics = ["| métrica | tipo | etiquetas | dónde | qué dice |", "|---|---|---|---|---|", *map(_metric, DECLARED)]
    rules = [line for rule in alerts(root) for line in _alert(rule)]
    return "\n".join([HEAD, "## Métricas", "", *metrics, "", "## Alertas", "", *rules]).rstrip() + "\n"


def _metric(declared: Declared) -> str:
    labels = ", ".join(f"`{label}`" for label in declared.labels) or "-"
    where = ", ".join(declared.where)
    return f"| `{declared.name}` | {declared.kind} | {labels} | {where} | {declared.explanation} |"


def _alert(rule: dict[str, Any]) -> list[str]:
    wait = f", durante {rule['for']}" if "for" in rule else ""
    notes = rule["annotations"]
    return [
        f"### {rule['alert']} ({rule['labels']['severity']})",
        "",
        f"{notes['summary']} {notes['description']}",
        "",
        f"`{rule['expr']}`{wait}",
        "",
    ]
