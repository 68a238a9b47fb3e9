"""The files of deploy/kubernetes against what the product declares, without an API server."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.cluster import rules
from kafka_bridge.brokers.topic_admin import declared_topics
from kafka_bridge.consuming.handlers import consumers
from mamochi_site.local.system import application_processes

KUBERNETES = rules.DEPLOY / "kubernetes"
BASE = KUBERNETES / "base"
COMPONENTS = KUBERNETES / "components"


def objects(*files: Path) -> list[dict[str, Any]]:
    return [one for file in files for one in yaml.safe_load_all(file.read_text()) if one]


def workloads() -> dict[str, dict[str, Any]]:
    found = objects(*sorted(BASE.glob("*.yaml")))
    return {one["metadata"]["name"]: one for one in found if one["kind"] in ("Deployment", "StatefulSet", "Job")}


def triggers(consumer: str) -> list[dict[str, str]]:
    """Return what KEDA asks Kafka for a consumer."""
    scaled = {one["metadata"]["name"]: one for one in objects(COMPONENTS / "autoscaling" / "consumers.yaml")}
    found = scaled[f"consumer-{consumer}"]["spec"]["triggers"]
    return [trigger["metadata"] for trigger in found if trigger["type"] == "kafka"]


def test_every_process_has_a_workload() -> None:
    assert workloads().keys() == set(application_processes(8000, 1)) | {"prepare"}


def test_beat_is_one_and_stays_one() -> None:
    beat = workloads()["celery-beat"]
    assert (beat["kind"], beat["spec"]["replicas"]) == ("StatefulSet", 1)


def test_commands_are_those_of_the_embedded_system() -> None:
    """But without helpers: consumers get more pods instead (docs/adr/0062)."""
    commands = application_processes(8000, 1)
    for name, workload in workloads().items():
        (container,) = workload["spec"]["template"]["spec"]["containers"]
        if name.startswith("consumer-") or name == "outbox-relay":
            command = [part for part in commands[name] if part != "--helper"]
            assert container["command"] == ["python3", *command[1:]], name


def test_every_deployment_may_be_drained_pod_by_pod() -> None:
    budgets = {one["metadata"]["name"]: one["spec"] for one in objects(BASE / "disruption-budgets.yaml")}
    assert budgets.keys() == {name for name, one in workloads().items() if one["kind"] == "Deployment"}
    for name, budget in budgets.items():
        assert budget["selector"]["matchLabels"] == {"app.kubernetes.io/name": name}
        assert budget["maxUnavailable"] == 1


def test_memory_is_limited() -> None:
    for name, workload in workloads().items():
        (container,) = workload["spec"]["template"]["spec"]["containers"]
        assert {"cpu", "memory"} <= container["resources"]["requests"].keys(), name
        assert "memory" in container["resources"]["limits"], name


@pytest.mark.parametrize("name", sorted(consumers))
def test_lag_is_asked_per_group_and_topic(name: str) -> None:
    consumer = consumers[name]
    asked = {(one["consumerGroup"], one["topic"]) for one in triggers(name)}
    # Aprobacion reads the maestros only after a restore, when somebody watches.
    topics = {topic.name for topic in consumer.topics} - ({"mamochi.maestros"} if name == "aprobacion" else set())
    lanes = [name, *(f"{name}.{lane}" for lane in consumer.lanes)]
    assert asked == {(group, topic) for group in lanes for topic in topics}


def test_each_lane_looks_at_its_own_partitions() -> None:
    inscripciones = {topic.name: topic for topic in declared_topics()}["mamochi.inscripciones"]
    limits = {one["consumerGroup"]: one["partitionLimitation"] for one in triggers("aprobacion")}
    assert limits == {"aprobacion": f"1-{inscripciones.partitions - 1}", "aprobacion.paid": "0"}


@pytest.mark.parametrize("name", sorted(consumers))
def test_waiting_events_count_before_the_first_commit(name: str) -> None:
    assert {one["offsetResetPolicy"] for one in triggers(name)} == {"earliest"}


def test_topics_are_the_declared_ones() -> None:
    found = {one["metadata"]["name"]: one["spec"] for one in objects(COMPONENTS / "kafka" / "topics.yaml")}
    declared = {topic.name: topic for topic in declared_topics()}
    assert found.keys() == declared.keys()
    for name, topic in declared.items():
        assert found[name]["config"] == {**topic.config, "min.insync.replicas": "2"}
        assert found[name]["replicas"] == 3
        assert found[name]["partitions"] >= topic.partitions


def users() -> dict[str, list[dict[str, Any]]]:
    found = objects(COMPONENTS / "kafka" / "users.yaml")
    return {one["metadata"]["name"]: one["spec"]["authorization"]["acls"] for one in found}


def test_every_process_has_a_user() -> None:
    assert users().keys() == workloads().keys() | {"keda"}


@pytest.mark.parametrize("name", sorted(consumers))
def test_consumers_read_their_own_topics_and_write_none(name: str) -> None:
    acls = users()[f"consumer-{name}"]
    reads = {acl["resource"]["name"] for acl in acls if "Read" in acl["operations"]}
    assert reads == {topic.name for topic in consumers[name].topics} | {name}
    assert not any("Write" in acl["operations"] for acl in acls)


def test_only_web_and_relay_write() -> None:
    assert {name for name, acls in users().items() if any("Write" in acl["operations"] for acl in acls)} == {
        "web",
        "outbox-relay",
    }


def test_rules_are_those_of_prometheus() -> None:
    assert rules.RULES.read_text() == rules.prometheus_rule(), "run python -m deploy.cluster.rules"


def test_database_owner_is_made_as_in_compose() -> None:
    ours = KUBERNETES / "overlays" / "test" / "create-owner.sh"
    assert ours.read_bytes() == (rules.DEPLOY / "compose" / "postgres" / "create-owner.sh").read_bytes()
