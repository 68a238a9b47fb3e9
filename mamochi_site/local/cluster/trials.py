"""What a run does to the system while maestros sell; each trial returns its figures.

A figure that breaks a promise has a name in `wrong`.
"""

import json
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

from confluent_kafka import ConsumerGroupState, ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from deploy.cluster.network import HOSTS
from deploy.embedded.errors import StackError
from deploy.embedded.waiting import wait_until
from mamochi_site.local.cluster.files import KAFKA, POSTGRES
from mamochi_site.local.cluster.load import Load, burst, selling
from mamochi_site.local.cluster.system import NAMESPACE, ClusterSystem
from mamochi_site.local.demo.client import Api
from mamochi_site.local.demo.people import gather

VENTAS: Final = "mamochi.ventas"
SECOND: Final = HOSTS[1].name
PAUSE_S: Final = 0.05
BURST: Final = 60_000
WATCH_S: Final = 240.0


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
            "slowest answer, s": round(load.slowest_s, 2),
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
        system.kubectl("rollout", "status", "deployment/web", "--timeout=240s", timeout=250)
        time.sleep(3)  # Some sales after it.
    system.plane.kubectl("uncordon", SECOND)
    outcome.figures["pods moved"] = len(before)
    outcome.expect("there was no pod to move", holds=bool(before))
    outcome.count(load)
    return outcome


# Exits 0 if the address accepts a connection within three seconds.
PROBE: Final = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 3)"


def policies(system: ClusterSystem) -> Outcome:
    """Try connections from pods that network policies allow and refuse."""
    outcome = Outcome("policies")
    database, server = POSTGRES.split(":"), [HOSTS[0].address, "6443"]
    tries = {
        "an application's pod reaches the database": ("mamochi", database, True),
        "another pod does not": ("stranger", database, False),
        "an application's pod does not reach the API server": ("mamochi", server, False),
    }
    for number, (what, (part_of, address, allowed)) in enumerate(tries.items()):
        reached = _connects(system, f"probe-{number}", part_of, address)
        outcome.figures[what] = reached == allowed
        outcome.expect(f"not true: {what}", holds=reached == allowed)
    return outcome


def _connects(system: ClusterSystem, name: str, part_of: str, address: list[str]) -> bool:
    """Run a pod of the image that connects, and return True if it could."""
    image = system.pods("web")[0]["spec"]["containers"][0]["image"]
    overrides = {
        "command": ["python3", "-c", PROBE, *address],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
    }
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app.kubernetes.io/part-of": part_of}},
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 10001,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [{"name": "app", "image": image} | overrides],
        },
    }
    system.kubectl("apply", "--filename=-", text=json.dumps(pod))

    def phase() -> str:
        state = str(system.plane.objects("pod", name, f"--namespace={NAMESPACE}")["status"]["phase"])
        return state if state in ("Succeeded", "Failed") else ""

    ended = wait_until(phase, 90, what=f"{name} ends", interval=0.5)
    system.kubectl("delete", "pod", name, "--wait=false")
    return ended == "Succeeded"


def from_zero(system: ClusterSystem) -> Outcome:
    """Send a form while aprobacion has no pod, and watch until it has none again."""
    outcome = Outcome("from zero")
    with timed(outcome, "aprobacion back to zero before"):
        wait_until(lambda: not system.pods("consumer-aprobacion"), 120, what="aprobacion is at zero", interval=0.5)
    began = time.monotonic()
    accepted = _enrol(system)
    outcome.expect("the form was not accepted", holds=bool(accepted))
    for what, condition in (
        ("a pod exists", lambda: bool(system.pods("consumer-aprobacion"))),
        ("the pod is ready", lambda: system.ready("consumer-aprobacion") > 0),
        ("the form is decided", lambda: _state(system, accepted) == "aprobada"),
        ("no pod is left", lambda: not system.pods("consumer-aprobacion")),
    ):
        wait_until(condition, 120, what=what, interval=0.3)
        outcome.figures[f"after the form: {what}, s"] = round(time.monotonic() - began, 1)
    return outcome


def _enrol(system: ClusterSystem) -> str:
    """Send a form that passes every rule; return the path of its state."""
    (person,) = gather(1, 0, random.Random())
    answer = Api(system.url, threading.Event()).post("/api/v1/inscripciones/", person.formulario())
    return str(urlsplit(answer["url"]).path)


def _state(system: ClusterSystem, path: str) -> str:
    return str(Api(system.url, threading.Event()).get(path)["estado"])


def peak(system: ClusterSystem, tokens: list[str]) -> Outcome:
    """Let sales wait for contabilidad, then let KEDA decide; watch pods and lag up and down."""
    outcome = Outcome("peak")
    with system.paused("contabilidad", 0):
        system.wait_for_pods("consumer-contabilidad", 0)
        with timed(outcome, f"{BURST} sales accepted"):
            load = burst(system.url, tokens, BURST)
    began, most = time.monotonic(), 0
    series: list[dict[str, float]] = []
    while time.monotonic() - began < WATCH_S:
        pods = system.pods("consumer-contabilidad")
        ready = system.ready("consumer-contabilidad")
        lag = lag_of("contabilidad")
        series.append({"s": round(time.monotonic() - began, 1), "pods": len(pods), "ready": ready, "lag": lag})
        most = max(most, len(pods))
        if most > 1 and lag == 0 and len(pods) == ready == 1:
            break
        time.sleep(0.5)
    outcome.figures |= {
        "most pods": most,
        "lag gone, s": next((one["s"] for one in series if one["lag"] == 0), None),
        "back to one pod, s": series[-1]["s"],
        "series": series,
    }
    outcome.expect("KEDA started no second pod", holds=most > 1)
    outcome.expect("KEDA did not go back to one pod", holds=series[-1]["pods"] == 1)
    outcome.count(load)
    return outcome


def doubling(system: ClusterSystem, tokens: list[str]) -> Outcome:
    """Double contabilidad under load, from one pod to two to four, and halve it again."""
    outcome = Outcome("doubling")
    admin = AdminClient({"bootstrap.servers": KAFKA})
    with system.paused("contabilidad", 1), selling(system.url, tokens, PAUSE_S) as load:
        system.wait_for_pods("consumer-contabilidad", 1)
        for before, count in ((1, 2), (2, 4), (4, 1)):
            began = time.monotonic()
            system.pause("contabilidad", count)
            wait_until(lambda count=count: _members(admin) == count, 180, what=f"{count} members", interval=0.2)
            outcome.figures[f"{before} to {count}: members have joined or left, s"] = round(time.monotonic() - began, 1)
            wait_until(lambda count=count: _shares(admin) == count, 120, what="shares", interval=0.2)
            outcome.figures[f"{before} to {count}: partitions are shared out, s"] = round(time.monotonic() - began, 1)
            time.sleep(5)  # Sales of each number of pods.
    outcome.count(load)
    return outcome


def _described(admin: AdminClient) -> Any:
    return admin.describe_consumer_groups(["contabilidad"], request_timeout=10)["contabilidad"].result()


def _members(admin: AdminClient) -> int:
    return len(_described(admin).members)


def _shares(admin: AdminClient) -> int:
    """Return how many members have partitions of sales, all different; 0 while the group moves."""
    group = _described(admin)
    if group.state != ConsumerGroupState.STABLE:
        return 0
    held = [[one for one in member.assignment.topic_partitions if one.topic == VENTAS] for member in group.members]
    every = [one.partition for share in held for one in share]
    return sum(map(bool, held)) if len(set(every)) == len(every) == 6 else 0


def lag_of(group: str) -> int:
    """Return how many sales the group has not committed yet, as KEDA counts."""
    admin = AdminClient({"bootstrap.servers": KAFKA})
    partitions = [TopicPartition(VENTAS, number) for number in range(6)]
    ends = admin.list_offsets({one: OffsetSpec.latest() for one in partitions}, request_timeout=10)
    asked = [ConsumerGroupTopicPartitions(group, partitions)]
    committed = admin.list_consumer_group_offsets(asked, request_timeout=10)[group].result().topic_partitions
    done = sum(max(0, one.offset) for one in committed)
    return sum(future.result().offset for future in ends.values()) - done


Trial = Callable[[], Outcome]


def tried(trial: Trial, name: str) -> Outcome:
    """Return the outcome of a trial; one that cannot go on is wrong, and the next one is tried."""
    try:
        return trial()
    except (StackError, TimeoutError) as error:
        return Outcome(name, wrong=[str(error)])
