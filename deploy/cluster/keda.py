"""KEDA's operator and its metrics adapter, beside the nodes: both only talk to the API server."""

import base64
import json
import os
from pathlib import Path
from typing import Any, Final

from deploy.cluster.control_plane import ControlPlane
from deploy.cluster.definitions import keda_definitions
from deploy.cluster.programs import built
from deploy.embedded.ports import HOST, free_port
from deploy.embedded.processes import Process
from deploy.embedded.waiting import wait_until

NAMESPACE: Final = "keda"
SERVICE: Final = "keda-metrics"
METRICS_API: Final = "v1beta1.external.metrics.k8s.io"
READY_S: Final = 90.0


class Keda:
    """Both programs, in the network of the control plane; their files are in `folder`."""

    def __init__(self, folder: Path, plane: ControlPlane, say: Any) -> None:
        self.folder = folder
        self.plane = plane
        self.say = say
        self.processes: list[Process] = []

    def start(self) -> None:
        """Create KEDA's definitions, start both and wait until they serve. Raises StackError."""
        programs = built(("keda-operator", "keda-adapter"), self.say)
        self.folder.mkdir(parents=True)
        self.plane.create_definitions(keda_definitions())
        adapter, metrics = free_port(), free_port()
        self._write_certificates()
        self.plane.kubectl("apply", "--filename=-", text=json.dumps(self._objects(adapter)))
        self._run("keda-operator", self._operator(programs["keda-operator"], metrics))
        self._run("keda-adapter", self._adapter(programs["keda-adapter"], adapter, metrics))
        wait_until(self._serves, READY_S, what="KEDA serves metrics", interval=0.5)

    def _serves(self) -> bool:
        return self.plane.answers("get", "--raw", "/apis/external.metrics.k8s.io/v1beta1")

    def _write_certificates(self) -> None:
        names = ["DNS:localhost", f"IP:{HOST}", f"DNS:{SERVICE}.{NAMESPACE}.svc"]
        certificate, key = self.plane.authority.issue("keda", names)
        for name, source in (("ca.crt", self.plane.authority.certificate), ("tls.crt", certificate), ("tls.key", key)):
            (self.folder / name).write_bytes(source.read_bytes())

    def _objects(self, port: int) -> dict[str, Any]:
        """Return the namespace, and where the API server finds the adapter."""
        service = {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": SERVICE, "namespace": NAMESPACE},
            "spec": {"type": "ExternalName", "externalName": "localhost", "ports": [{"name": "https", "port": port}]},
        }
        api = {
            "apiVersion": "apiregistration.k8s.io/v1",
            "kind": "APIService",
            "metadata": {"name": METRICS_API},
            "spec": {
                "service": {"name": SERVICE, "namespace": NAMESPACE, "port": port},
                "group": "external.metrics.k8s.io",
                "version": "v1beta1",
                "groupPriorityMinimum": 100,
                "versionPriority": 100,
                "caBundle": base64.b64encode(self.plane.authority.certificate.read_bytes()).decode(),
            },
        }
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
        return {"apiVersion": "v1", "kind": "List", "items": [namespace, service, api]}

    def _operator(self, program: Path, metrics: int) -> list[str]:
        return [
            *(str(program), f"--cert-dir={self.folder}", f"--metrics-bind-address={HOST}:{free_port()}"),
            *(f"--health-probe-bind-address={HOST}:{free_port()}", f"--metrics-service-bind-address={HOST}:{metrics}"),
            *("--leader-elect=false", "--zap-log-level=info", "--zap-encoder=console"),
        ]

    def _adapter(self, program: Path, port: int, metrics: int) -> list[str]:
        config = self.plane.kubeconfig
        return [
            *(str(program), f"--secure-port={port}", f"--bind-address={HOST}", f"--port={free_port()}"),
            *(f"--cert-dir={self.folder}", f"--client-ca-file={self.folder}/ca.crt"),
            *(f"--tls-cert-file={self.folder}/tls.crt", f"--tls-private-key-file={self.folder}/tls.key"),
            *(f"--metrics-service-address=localhost:{metrics}", f"--authentication-kubeconfig={config}"),
            *(f"--authorization-kubeconfig={config}", f"--lister-kubeconfig={config}"),
        ]

    def _run(self, name: str, argv: list[str]) -> None:
        environment = {
            **os.environ,
            "GOMAXPROCS": "2",
            "KUBECONFIG": str(self.plane.kubeconfig),
            "POD_NAMESPACE": NAMESPACE,
            "KEDA_CLUSTER_OBJECT_NAMESPACE": NAMESPACE,
            "OPERATOR_NAME": "keda-operator",
            # Of every namespace:
            "WATCH_NAMESPACE": "",
        }
        log = self.folder / f"{name}.log"
        process = Process(name, [*self.plane.inside, *argv], log, self.folder, environment, niceness=5)
        process.spawn()
        self.processes.append(process)

    def stop(self) -> None:
        """Stop both programs."""
        for process in self.processes:
            process.stop(timeout=5)
        self.processes.clear()
