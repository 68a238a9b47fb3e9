"""A whole cluster on one machine: network, control plane, nodes and KEDA."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from deploy.cluster import network, node
from deploy.cluster.control_plane import ControlPlane
from deploy.cluster.keda import Keda
from deploy.cluster.network import HOSTS
from deploy.cluster.node import Node
from deploy.cluster.programs import PROGRAMS, Say, built
from deploy.containers.engine import install
from deploy.embedded.errors import StackError
from deploy.embedded.signals import uninterrupted
from deploy.embedded.waiting import wait_until

# Sockets are in it, whose paths have at most 107 characters.
FOLDER: Final = Path("/tmp/mamochi-cluster")  # nosec B108 - made with mode 700, and refused if it exists
LOCK: Final = Path("/run/lock/mamochi-cluster")
API_PORT: Final = 6443
NODES_READY_S: Final = 180.0
# What a node needs of Debian.
PACKAGES: Final = {
    "containerd": "containerd",
    "runc": "runc",
    "iptables": "iptables",
    "ipset": "ipset",
    "conntrack": "conntrack",
    "ip": "iproute2",
    "openssl": "openssl",
    # Beside /usr/bin, where `install` looks.
    "../lib/cni/bridge": "containernetworking-plugins",
}


class Cluster:
    """The running cluster."""

    def __init__(self, say: Say) -> None:
        self.say = say
        first = HOSTS[0]
        self.plane = ControlPlane(FOLDER / "plane", say, first.address, API_PORT, first.inside)
        self.nodes = [Node(FOLDER / host.name, host, self.plane.kubeconfig, say) for host in HOSTS]
        self._keda: Keda | None = None

    def start(self, images: Path) -> None:
        """Start everything and wait until the nodes are ready. Raises StackError."""
        FOLDER.mkdir(mode=0o700)
        network.build(HOSTS)
        self.plane.start()
        self._keda = Keda(FOLDER / "keda", self.plane, self.say)
        with ThreadPoolExecutor() as pool:
            started = [pool.submit(one.start, images) for one in self.nodes] + [pool.submit(self._keda.start)]
        for one_start in started:
            one_start.result()
        wait_until(self._nodes_ready, NODES_READY_S, what="the nodes are ready", interval=0.5)
        for one in self.nodes:
            one.enforce_policies()

    def _nodes_ready(self) -> bool:
        states = [
            condition["status"]
            for one in self.plane.objects("nodes")["items"]
            for condition in one["status"].get("conditions", [])
            if condition["type"] == "Ready"
        ]
        return states == ["True"] * len(HOSTS)

    def save_logs(self, folder: Path) -> None:
        """Copy the logs of the cluster's own programs and of all pods into a folder."""
        for log in FOLDER.glob("*/*.log"):
            _copy(log, folder / log.parent.name / log.name)
        for one in self.nodes:
            for log in one.logs_of(""):
                # NAMESPACE_POD_UID/CONTAINER/N.log
                pod = log.parts[-3].rpartition("_")[0]
                _copy(log, folder / "pods" / f"{pod}-{log.stem}.log")

    def stop(self) -> None:
        """End everything and leave nothing behind."""
        if self._keda:
            self._keda.stop()
        for one in self.nodes:
            one.stop()
        self.plane.stop()
        network.remove(HOSTS)
        shutil.rmtree(FOLDER, ignore_errors=True)


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, target)


@contextmanager
def running_cluster(images: Path, logs: Path, say: Say) -> Iterator[Cluster]:
    """Run a cluster whose nodes have the images of an archive; it ends with the block.

    One cluster runs at a time on a machine. Raises StackError, with the remedy, where this machine
    cannot have one.
    """
    with _only_one():
        prepare(say)
        _clean()
        cluster = Cluster(say)
        try:
            cluster.start(images)
            yield cluster
        finally:
            with uninterrupted():
                say("stopping the cluster")
                cluster.save_logs(logs)
                cluster.stop()


def prepare(say: Say) -> None:
    """Install Debian's programs and build the others where they are missing. Raises StackError."""
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise StackError("A cluster of its own needs root and Debian.")
    install(PACKAGES, say)
    built(tuple(PROGRAMS), say)


@contextmanager
def _only_one() -> Iterator[None]:
    with LOCK.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StackError("A cluster already runs on this machine: stop it first.") from None
        yield


def _clean() -> None:
    """Remove what a run left that was killed."""
    for host in HOSTS:
        node.clean(FOLDER / host.name)
    # Programs of the control plane end with the process that started them.
    network.remove(HOSTS)
    shutil.rmtree(FOLDER, ignore_errors=True)
