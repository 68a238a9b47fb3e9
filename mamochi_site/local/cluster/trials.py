"""What a run does to the system while maestros sell; each trial returns its figures.

A figure that breaks a promise has a name in `wrong`.
"""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from deploy.cluster.network import HOSTS
from deploy.embedded.errors import StackError
from deploy.embedded.waiting import wait_until
from mamochi_site.local.cluster.files import POSTGRES
from mamochi_site.local.cluster.load import Load, selling
from mamochi_site.local.cluster.system import NAMESPACE, ClusterSystem

SECOND: Final = HOSTS[1].name
PAUSE_S: Final = 0.05


@dataclass
class Outcome:
    """The figures of a trial, and what was wrong."""

    name: str
    figures: dict[str, Any] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    def expect(self, what: str, *, holds: bool) -> None:
        """Note that something must hold."""
        if not holds:
            self.wrong.append(what)

    def count(self, load: Load) -> None:
        """Add the load's figures: nothing may be refused, lost or doubled."""
        lost, doubled = load.lost(), load.doubled()
        self.figures |= {
            "requests": sum(load.answers.values()),
            "failed requests": load.failed,
            **({"slowest answer, s": round(load.slowest_s, 2)} if load.slowest_s else {}),
            "accepted sales": len(load.accepted),
            "lost": lost,
            "doubled": doubled,
        }
        self.expect(f"{load.failed} requests failed: {dict(load.answers)}", holds=load.failed == 0)
        self.expect(f"{lost} accepted sales are lost, {doubled} are doubled", holds=lost == doubled == 0)
        self.expect("nothing was sold", holds=len(load.accepted) > 0)


@contextmanager
def timed(outcome: Outcome, what: str) -> Iterator[None]:
    """Add how long the block took, in seconds."""
    began = time.monotonic()
    yield
    outcome.figures[f"{what}, s"] = round(time.monotonic() - began, 1)


def restart(system: ClusterSystem, tokens: list[str]) -> Outcome:
    """Replace every pod of the web while maestros sell."""
    outcome = Outcome("restart")
    with selling(system.url, tokens, PAUSE_S) as load:
        time.sleep(3)  # Some sales before.
        with timed(outcome, "rollout restart of two web pods"):
            system.kubectl("rollout", "restart", "deployment/web")
            system.kubectl("rollout", "status", "deployment/web", "--timeout=240s", timeout=250)
        time.sleep(3)  # And some after it.
    outcome.count(load)
    return outcome


def drain(system: ClusterSystem, tokens: list[str]) -> Outcome:
    """Drain the second node while maestros sell, then let pods onto it again."""
    outcome = Outcome("drain")
    before = [pod for pod in system.pods() if pod["spec"].get("nodeName") == SECOND]
    arguments = ("--ignore-daemonsets", "--delete-emptydir-data", "--timeout=240s")
    with selling(system.url, tokens, PAUSE_S) as load:
        with timed(outcome, "drain"):
            system.plane.kubectl("drain", SECOND, *arguments, timeout=250)
        time.sleep(3)  # Some sales on one node.
        # By their requests, the first node may not have room for all pods.
        system.plane.kubectl("uncordon", SECOND)
        system.kubectl("rollout", "status", "deployment/web", "--timeout=240s", timeout=250)
    outcome.figures["pods moved"] = len(before)
    outcome.expect("there was no pod to move", holds=bool(before))
    outcome.count(load)
    return outcome


# Exits 0 if the address accepts a connection within two seconds.
PROBE: Final = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 2)"
STRANGER: Final = "stranger"
# A policy holds for a new pod once kube-router has seen its address.
ENFORCED_S: Final = 20.0


def policies(system: ClusterSystem) -> Outcome:
    """Try connections from running pods that network policies allow and refuse."""
    outcome = Outcome("policies")
    database, server = tuple(POSTGRES.split(":")), (HOSTS[0].address, "6443")
    metrics = (system.pods("consumer-contabilidad")[0]["status"]["podIP"], "9101")
    with _stranger(system):
        for what, pod, address, allowed in (
            ("the web reaches the database", "deployment/web", database, True),
            ("the web does not reach the API server", "deployment/web", server, False),
            ("the web does not reach a consumer's metrics", "deployment/web", metrics, False),
            ("a pod of another name does not reach the database", f"pod/{STRANGER}", database, False),
            ("a pod of another name does not reach the web", f"pod/{STRANGER}", _web(system), False),
        ):
            holds = _holds(system, pod, address, allowed=allowed)
            outcome.figures[what] = holds
            outcome.expect(f"not true: {what}", holds=holds)
    # A refusal says nothing where nothing listens. Kubelet's probes reach the metrics and the web.
    outcome.expect("the API server does not listen", holds=system.plane.answers("get", "--raw", "/readyz"))
    return outcome


def _web(system: ClusterSystem) -> tuple[str, str]:
    return system.pods("web")[0]["status"]["podIP"], "8000"


def _holds(system: ClusterSystem, pod: str, address: tuple[str, ...], *, allowed: bool) -> bool:
    """Return True if the pod can, or cannot, connect to the address within ENFORCED_S."""
    argv = ("exec", pod, "--", "python3", "-c", PROBE, *address)
    try:
        return wait_until(
            lambda: system.plane.answers(f"--namespace={NAMESPACE}", *argv) == allowed, ENFORCED_S, interval=1.0
        )
    except TimeoutError:
        return False


@contextmanager
def _stranger(system: ClusterSystem) -> Iterator[None]:
    """Run a pod of the image that belongs to no process, as long as the block runs."""
    container = {
        "name": "app",
        "image": system.pods("web")[0]["spec"]["containers"][0]["image"],
        "command": ["sleep", "600"],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    spec = {
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 1,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 10001,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
    }
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": STRANGER}, "spec": spec}
    system.kubectl("apply", "--filename=-", text=json.dumps(pod))
    try:
        system.kubectl("wait", "--for=condition=Ready", f"pod/{STRANGER}", "--timeout=60s", timeout=70)
        yield
    finally:
        system.kubectl("delete", "pod", STRANGER, "--wait=false")


Trial = Callable[[], Outcome]


def tried(trial: Trial, name: str) -> Outcome:
    """Return the outcome of a trial; one that cannot go on is wrong, and the next one is tried."""
    try:
        return trial()
    except (StackError, TimeoutError) as error:
        return Outcome(name, wrong=[str(error)])
