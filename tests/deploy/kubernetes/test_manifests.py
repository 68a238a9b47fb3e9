"""deploy/kubernetes against a real API server with the real resource definitions; no pod runs.

Kubernetes' API server is built from source the first time, which takes some minutes.
"""

import re
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from deploy.cluster import rules
from deploy.cluster.control_plane import ControlPlane
from deploy.cluster.definitions import definitions
from deploy.cluster.programs import from_wheel
from deploy.embedded.errors import StackError

KUBERNETES = rules.DEPLOY / "kubernetes"
OVERLAYS = ("production", "test")
pytestmark = [pytest.mark.cluster, pytest.mark.slow]


def built(overlay: str) -> str:
    """Return the objects of an overlay as `kubectl apply -k` would send them."""
    argv = [str(from_wheel("kubectl")), "kustomize", str(KUBERNETES / "overlays" / overlay)]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


def objects(overlay: str) -> list[dict[str, Any]]:
    return [one for one in yaml.safe_load_all(built(overlay)) if one]


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    plane = ControlPlane(tmp_path_factory.mktemp("plane"), print)
    try:
        plane.start(controllers=False)
        plane.create_definitions(definitions(print))
        plane.kubectl("apply", f"--filename={KUBERNETES / 'base' / 'namespace.yaml'}")
        # Without controllers nobody makes them, and no pod is accepted without.
        for account in ("default", "mamochi"):
            plane.kubectl("create", "serviceaccount", account, "--namespace=mamochi")
        yield plane
    finally:
        plane.stop()


def apply(plane: ControlPlane, text: str) -> str:
    """Return what the server answers; it stores nothing. Raises StackError if it refuses."""
    arguments = ("apply", "--dry-run=server", "--validate=strict", "--warnings-as-errors", "--filename=-")
    return plane.kubectl(*arguments, text=text, timeout=120)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_server_accepts_every_object(plane: ControlPlane, overlay: str) -> None:
    answer = apply(plane, built(overlay))
    assert len(re.findall(r"\(server dry run\)$", answer, re.MULTILINE)) == len(objects(overlay))


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_pods_are_restricted(plane: ControlPlane, overlay: str) -> None:
    """The server checks pods themselves only, so each template is sent as a pod."""
    for one in objects(overlay):
        template = one.get("spec", {}).get("template") if one["kind"] in ("Deployment", "StatefulSet", "Job") else None
        if template:
            name = {"name": one["metadata"]["name"], "namespace": "mamochi"}
            claimed = [claim["metadata"]["name"] for claim in one["spec"].get("volumeClaimTemplates", [])]
            volumes = [*template["spec"].get("volumes", []), *({"name": each, "emptyDir": {}} for each in claimed)]
            spec = template["spec"] | {"volumes": volumes}
            pod = {"apiVersion": "v1", "kind": "Pod", "metadata": template["metadata"] | name, "spec": spec}
            apply(plane, yaml.safe_dump(pod))
            assert template["spec"]["automountServiceAccountToken"] is False
            assert template["spec"]["containers"][0]["securityContext"]["readOnlyRootFilesystem"] is True


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_variables_are_declared_before_their_use(overlay: str) -> None:
    """Kubernetes leaves $(NAME) as it is where NAME comes later."""
    for one in objects(overlay):
        for container in one.get("spec", {}).get("template", {}).get("spec", {}).get("containers", []):
            known: set[str] = set()
            for variable in container.get("env", []):
                assert set(re.findall(r"\$\((\w+)\)", variable.get("value", ""))) <= known, one["metadata"]["name"]
                known.add(variable["name"])


def test_each_process_logs_in_as_itself() -> None:
    for one in objects("production"):
        if one["kind"] in ("Deployment", "Job") or (one["kind"], one["metadata"]["name"]) == (
            "StatefulSet",
            "celery-beat",
        ):
            pod = one["spec"]["template"]["spec"]
            variables = {variable["name"]: variable.get("value") for variable in pod["containers"][0]["env"]}
            secrets = {volume["name"]: volume.get("secret", {}).get("secretName") for volume in pod["volumes"]}
            assert variables["KAFKA_SASL_USERNAME"] == secrets["kafka-user"] == one["metadata"]["name"]
            assert "DATABASE_URL_FILE" not in variables


# What is written instead, where, and what the server says about it.
MISTAKES = {
    "a misspelt field": ("name: web\n", "  strategy:\n", "  replica: 3\n  strategy:\n", "spec.replica"),
    "a port without a name": (
        "name: web\n",
        "path: /health/live\n            port: http",
        "path: /health/live\n            port: htp_",
        "port",
    ),
    "a text for a number": ("name: postgresql\n", "instances: 3", "instances: three", "spec.instances"),
    "an unknown way to commit": (
        "name: postgresql\n",
        "method: any",
        "method: some",
        "spec.postgresql.synchronous.method",
    ),
    "an unknown right": ("name: web\n", "- Write\n", "- Wirte\n", "operations"),
    "an unknown listener": ("name: mamochi\n", "type: internal", "type: external", "listeners"),
    "a role that no broker has": ("name: brokers\n", "- broker\n", "- brokers\n", "roles"),
    "partitions of nothing": ("name: mamochi.ventas\n", "partitions: 12", "partitions: 0", "spec.partitions"),
    "lag without a target": (
        "name: consumer-contabilidad\n",
        "scaleTargetRef:\n    name: consumer-contabilidad",
        "scaleTargetReff: {}",
        "scaleTarget",
    ),
    "two limits of a drain": (
        "name: web\n",
        "maxUnavailable: 1\n",
        "maxUnavailable: 1\n  minAvailable: 1\n",
        "cannot be both set",
    ),
    "an unknown protocol": ("name: web-from-the-proxy\n", "protocol: TCP", "protocol: TPC", "protocol"),
    "a rule without an expression": ("name: mamochi\n", "expr: absent", "exprr: absent", "exprr"),
    "a monitor without a port": (
        "name: web\n",
        "podMetricsEndpoints:\n  - interval: 15s",
        "podMetricsEndpoint:\n  - interval: 15s",
        "podMetricsEndpoint",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_server_refuses(plane: ControlPlane, mistake: str) -> None:
    name, right, wrong, told = MISTAKES[mistake]
    documents = [one for one in built("production").split("---\n") if f"\n  {name}" in one and right in one]
    assert documents, f"the overlay has no object {name.strip()} with {right!r}"
    text = documents[0].replace(right, wrong, 1)
    with pytest.raises(StackError) as refused:
        apply(plane, text)
    assert told in str(refused.value)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("runAsNonRoot: true", "runAsNonRoot: false"),
        ("allowPrivilegeEscalation: false", "allowPrivilegeEscalation: true"),
        ("- ALL", "- KILL"),
        ("type: RuntimeDefault", "type: Unconfined"),
    ],
)
def test_server_refuses_a_pod_with_more_rights(plane: ControlPlane, right: str, wrong: str) -> None:
    (web,) = [one for one in objects("production") if one["kind"] == "Deployment" and one["metadata"]["name"] == "web"]
    metadata = {"name": "web", "namespace": "mamochi"}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": web["spec"]["template"]["spec"]}
    text = yaml.safe_dump(pod)
    assert right in text
    with pytest.raises(StackError, match="violates PodSecurity"):
        apply(plane, text.replace(right, wrong))
