"""Nodes as network namespaces on one switch; the machine itself is on the switch too.

    machine 10.214.0.254 --+
                           +-- switch, in the namespace of node 1
    node-1  10.214.0.1   --+
    node-2  10.214.0.2   --+

The machine gets one device and two routes, to pods and services, which end with the namespaces.
"""

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from deploy.embedded.errors import StackError

MACHINE: Final = "10.214.0.254"
DEVICE: Final = "mamochi-k8s"
SWITCH: Final = "switch"
PODS: Final = "10.215.0.0/16"
SERVICES: Final = "10.216.0.0/16"


@dataclass(frozen=True)
class Host:
    """A node's place in the network."""

    number: int

    @property
    def name(self) -> str:
        """Return the node's name."""
        return f"node-{self.number}"

    @property
    def namespace(self) -> str:
        """Return the name of its network namespace."""
        return f"{DEVICE}-{self.number}"

    @property
    def address(self) -> str:
        """Return its address."""
        return f"10.214.0.{self.number}"

    @property
    def pods(self) -> str:
        """Return the network of its pods."""
        return f"10.215.{self.number}.0/24"

    @property
    def inside(self) -> tuple[str, ...]:
        """Return the beginning of a command line that runs in its namespace."""
        # Not `ip netns exec`, which hides the cgroups.
        return ("nsenter", f"--net=/run/netns/{self.namespace}")


HOSTS: Final = (Host(1), Host(2))


def build(hosts: Sequence[Host]) -> None:
    """Make the namespaces and connect them; remains of an earlier run are removed first."""
    remove(hosts)
    first = hosts[0]
    for host in hosts:
        _ip("netns", "add", host.namespace)
        _ip("-n", host.namespace, "link", "set", "lo", "up")
        # Packets to services come back from pods of another node.
        for setting in ("ip_forward=1", "conf.all.rp_filter=0", "conf.default.rp_filter=0"):
            _run([*host.inside, "sysctl", "-q", "-w", f"net.ipv4.{setting}"])
    _ip("-n", first.namespace, "link", "add", SWITCH, "type", "bridge")
    _ip("-n", first.namespace, "address", "add", f"{first.address}/24", "dev", SWITCH)
    _ip("-n", first.namespace, "link", "set", SWITCH, "up")
    for host in hosts[1:]:
        _plug(first, f"to-{host.name}", "eth0", host)
        _ip("-n", host.namespace, "address", "add", f"{host.address}/24", "dev", "eth0")
        _ip("-n", host.namespace, "link", "set", "eth0", "up")
    _plug(first, "to-machine", DEVICE, None)
    _ip("address", "add", f"{MACHINE}/24", "dev", DEVICE)
    _ip("link", "set", DEVICE, "up")
    for network in (PODS, SERVICES):
        _ip("route", "add", network, "via", first.address)
    for host in hosts:
        for other in hosts:
            if other is not host:
                _ip("-n", host.namespace, "route", "add", other.pods, "via", other.address)
        # The addresses of services need a route, although no packet takes it.
        _ip("-n", host.namespace, "route", "add", "default", "via", MACHINE)


def _plug(first: Host, port: str, device: str, host: Host | None) -> None:
    """Connect a device of the host, or of the machine, with a port of the switch."""
    there = ("netns", host.namespace) if host else ()
    peer = ("peer", "name", device, *there)
    if host is None:
        _ip("link", "add", port, "netns", first.namespace, "type", "veth", *peer)
    else:
        _ip("-n", first.namespace, "link", "add", port, "type", "veth", *peer)
    _ip("-n", first.namespace, "link", "set", port, "master", SWITCH, "up")


def remove(hosts: Sequence[Host]) -> None:
    """Remove namespaces and device; what does not exist is no error."""
    wanted = [["ip", "netns", "delete", host.namespace] for host in hosts]
    for argv in [*wanted, ["ip", "link", "delete", DEVICE]]:
        subprocess.run(argv, capture_output=True, check=False)


def _ip(*arguments: str) -> None:
    _run(["ip", *arguments])


def _run(argv: Sequence[str]) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        raise StackError(f"`{' '.join(argv)}` failed: {done.stderr.strip()}")
