"""What must be true of a running system beside the demo's audit."""

import http.client
import json
import signal
from typing import Any
from urllib.parse import urlencode

import yaml
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from deploy.embedded import StackError
from deploy.embedded.ports import HOST
from deploy.embedded.waiting import wait_until
from mamochi_site.local.compose.files import BROKERS, FOLDER
from mamochi_site.local.compose.system import ComposeSystem, Ended

REPLICATED_S = 120.0
SCRAPED_S = 120.0
# Each consumer, web, relay, worker and Beat.
PROCESSES = 8


def ended_well(end: Ended) -> bool:
    """Return True for exit code 0; a Java machine that was asked to stop and did says 143."""
    return end.exit_code == 0 or (end.service in BROKERS and end.exit_code == 128 + signal.SIGTERM)


def wait_until_replicated(system: ComposeSystem) -> None:
    """Wait until all replicas of all partitions are in sync. Raises TimeoutError."""
    servers = ",".join(f"{HOST}:{port}" for port in system.files.broker_ports.values())
    admin = AdminClient({"bootstrap.servers": servers, "log_level": 0})
    wait_until(lambda: is_replicated(admin), REPLICATED_S, what="every partition has its replicas", interval=0.5)


def is_replicated(admin: AdminClient) -> bool:
    """Return True if each partition has all its replicas in sync and there are three brokers."""
    try:
        metadata = admin.list_topics(timeout=10)
    except KafkaException:
        return False
    partitions = [partition for topic in metadata.topics.values() for partition in topic.partitions.values()]
    complete = all(len(partition.isrs) == len(partition.replicas) == len(BROKERS) for partition in partitions)
    return len(metadata.brokers) == len(BROKERS) and bool(partitions) and complete


def check_prometheus(system: ComposeSystem) -> None:
    """Wait until Prometheus scrapes every process, has every alert, and can draw the dashboard.

    Raises TimeoutError.
    """
    wait_until(lambda: _is_scraped(system), SCRAPED_S, what="Prometheus scrapes every process", interval=1.0)
    wait_until(lambda: _alerts(system) == _declared_alerts(), SCRAPED_S, what="every alert is evaluated", interval=1.0)
    empty = "each panel of the dashboard has data"
    wait_until(lambda: not _empty_panels(system), SCRAPED_S, what=empty, interval=1.0)


def _alerts(system: ComposeSystem) -> set[str]:
    """Return the alerts that Prometheus has evaluated without an error."""
    groups = _ask(system, "rules")["groups"]
    return {rule["name"] for group in groups for rule in group["rules"] if rule["health"] == "ok"}


def _declared_alerts() -> set[str]:
    groups = yaml.safe_load((FOLDER.parent / "prometheus" / "alerts.yml").read_text())["groups"]
    return {rule["alert"] for group in groups for rule in group["rules"]}


def _empty_panels(system: ComposeSystem) -> list[str]:
    """Return the titles of the panels of which no query gives anything."""
    panels = json.loads((FOLDER.parent / "grafana" / "mamochi.json").read_text())["panels"]
    return [panel["title"] for panel in panels if not any(_query(system, one["expr"]) for one in panel["targets"])]


def _query(system: ComposeSystem, expression: str) -> list[Any]:
    found: list[Any] = _ask(system, f"query?{urlencode({'query': expression})}")["result"]
    return found


def _is_scraped(system: ComposeSystem) -> bool:
    try:
        targets = _ask(system, "targets?state=active")["activeTargets"]
    except (OSError, http.client.HTTPException, ValueError):
        return False
    return len(targets) >= PROCESSES and all(target["health"] == "up" for target in targets)


def _ask(system: ComposeSystem, path: str) -> Any:
    """Return what Prometheus answers. Raises StackError if it refuses the question."""
    connection = http.client.HTTPConnection(HOST, system.files.prometheus_port, timeout=5)
    try:
        connection.request("GET", f"/api/v1/{path}")
        answer = json.load(connection.getresponse())
    finally:
        connection.close()
    if answer["status"] != "success":
        raise StackError(f"Prometheus refuses {path}: {answer['error']}.")
    return answer["data"]
