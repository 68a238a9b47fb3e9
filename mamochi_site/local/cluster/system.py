"""The application in a cluster: apply the overlay, wait, look at pods, replicas and mails."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from deploy.cluster.cluster import Cluster
from deploy.embedded.errors import StackError
from deploy.embedded.mailbox import Mailbox
from deploy.embedded.waiting import wait_until
from mamochi_site.local.cluster.files import URL, Files

NAMESPACE: Final = "mamochi"
NAME: Final = "app.kubernetes.io/name"
UP_S: Final = 420.0
LOOK_EVERY_S: Final = 3.0
# KEDA leaves a ScaledObject alone, at this many pods.
PAUSED: Final = "autoscaling.keda.sh/paused-replicas"
SERVERS: Final = ("kafka", "postgres", "valkey", "mail")
Say = Callable[[str], None]


class ClusterSystem:
    """Everything of the overlay `test`, running; what the demo calls its place."""

    def __init__(self, cluster: Cluster, files: Files, images: dict[str, str], logs: Path, say: Say) -> None:
        self.plane = cluster.plane
        self.cluster = cluster
        self.files = files
        self.images = images
        self.logs = logs
        self.say = say
        self.url = URL
        self._looked = 0.0
        self._failure = ""

    def kubectl(self, *arguments: str, timeout: float = 60, text: str = "") -> str:
        """Return what `kubectl ARGUMENTS` prints, in our namespace. Raises StackError."""
        return self.plane.kubectl(f"--namespace={NAMESPACE}", *arguments, timeout=timeout, text=text)

    def pods(self, name: str = "") -> list[dict[str, Any]]:
        """Return the pods of a process, or all of them, without those that are ending."""
        selector = [f"--selector={NAME}={name}"] if name else []
        found = self.plane.objects("pods", f"--namespace={NAMESPACE}", *selector)["items"]
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def ready(self, name: str) -> int:
        """Return how many pods of a process are ready."""
        return sum(is_ready(pod) for pod in self.pods(name))

    def up(self) -> None:
        """Apply the overlay and wait until all is ready, with a line for each that is.

        Raises StackError.
        """
        self._apply()
        began, told = time.monotonic(), set[str]()
        while missing := self._missing(pods := self.pods()):
            for name in sorted({_label(pod) for pod in pods} - missing - told):
                told.add(name)
                self.say(f"{name} is ready ({time.monotonic() - began:.0f} s after apply)")
            if time.monotonic() - began > UP_S:
                raise StackError(f"Not ready after {UP_S:g} s: {', '.join(sorted(missing))}; see {self.logs}.")
            time.sleep(1)

    def _apply(self) -> None:
        self.plane.kubectl("apply", "--server-side", f"--kustomize={self.files.folder}", timeout=120)

    def add_partitions(self, topic: str, count: int) -> None:
        """Raise the partitions of a topic, as docs/operation.md says. Raises StackError."""
        command = ("env", f"KAFKA_PARTITIONS={topic}={count}", "python3", "manage.py", "add_partitions", topic)
        self.kubectl("exec", "deployment/web", "--", *command, timeout=120)

    def roll_out(self, *, partitions: int) -> None:
        """Apply the overlay with another number of partitions of sales; pods are replaced.

        Raises StackError.
        """
        self.files.write(self.images, partitions=partitions)
        # A Job cannot be changed.
        self.kubectl("delete", "job", "prepare")
        self._apply()
        for workload in self.kubectl("get", "deployments,statefulsets", "--output=name").split():
            self.kubectl("rollout", "status", workload, "--timeout=240s", timeout=250)

    def _missing(self, pods: list[dict[str, Any]]) -> set[str]:
        """Return which processes have no pod, or one that is not ready and has not ended well."""
        missing = {_label(pod) for pod in pods if not is_ready(pod) and pod["status"]["phase"] != "Succeeded"}
        expected = {*SERVERS, "prepare", "web", "celery-beat", "consumer-contabilidad", "consumer-inventario"}
        return missing | (expected - {_label(pod) for pod in pods})

    @cached_property
    def mailbox(self) -> Mailbox:
        """Return the e-mails that arrived: the folder of the mail server's pod on its node."""
        (pod,) = self.pods("mail")
        folder = self.cluster.nodes[0].folder / "kubelet" / "pods" / pod["metadata"]["uid"]
        return Mailbox(folder / "volumes" / "kubernetes.io~empty-dir" / "mailbox")

    def failure(self) -> str:
        """Return which pod failed, or else an empty text; asks every LOOK_EVERY_S seconds only."""
        if time.monotonic() - self._looked > LOOK_EVERY_S:
            self._looked = time.monotonic()
            waiting = {pod["metadata"]["name"]: _waits_for(pod) for pod in self.pods()}
            failed = {name: reason for name, reason in waiting.items() if reason in ("CrashLoopBackOff", "Error")}
            self._failure = ", ".join(f"{name}: {reason}" for name, reason in failed.items())
        return self._failure

    def restarts(self) -> dict[str, int]:
        """Return how often the container of each process was started again."""
        counts: dict[str, int] = {}
        for pod in self.pods():
            for container in pod["status"].get("containerStatuses", []):
                counts[_label(pod)] = counts.get(_label(pod), 0) + container["restartCount"]
        return {name: count for name, count in counts.items() if count}

    @contextmanager
    def paused(self, consumer: str, pods: int) -> Iterator[None]:
        """Keep KEDA from scaling a consumer, which has so many pods in the block."""
        self.pause(consumer, pods)
        try:
            yield
        finally:
            self.kubectl("annotate", "scaledobject", f"consumer-{consumer}", f"{PAUSED}-")

    def pause(self, consumer: str, pods: int) -> None:
        """Let KEDA give a consumer so many pods, and no others."""
        self.kubectl("annotate", "--overwrite", "scaledobject", f"consumer-{consumer}", f"{PAUSED}={pods}")

    def wait_for_pods(self, name: str, count: int, timeout: float = 180.0) -> None:
        """Wait until a process has so many pods, all ready. Raises TimeoutError."""
        wait_until(
            lambda: (self.ready(name), len(self.pods(name))) == (count, count),
            timeout,
            what=f"{name} has {count} pods, all ready",
            interval=0.5,
        )


def is_ready(pod: dict[str, Any]) -> bool:
    """Return True if the pod is ready."""
    conditions = pod["status"].get("conditions", [])
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def _label(pod: dict[str, Any]) -> str:
    return str(pod["metadata"]["labels"].get(NAME, pod["metadata"]["name"]))


def _waits_for(pod: dict[str, Any]) -> str:
    states = [one["state"].get("waiting", {}) for one in pod["status"].get("containerStatuses", [])]
    return next((str(state["reason"]) for state in states if state), "")
