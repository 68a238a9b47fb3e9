"""Hosts with addresses of their own on one machine, connected by one router, the hub.

    runner ---+
              |        each line is a pair of virtual Ethernet devices, and each host, the hub too,
    kafka-1 --+-- hub  is a network namespace; the runner is the machine itself
              |
    postgres -+

Every packet between two of them passes through the hub, so the hub can lose or delay it. Nothing
outside these namespaces changes but for one device and one route, which end with the hub, and the
folders of the hosts in /etc/netns.

Each host has a name, which a name server in the hub tells the other hosts (`names.py`).
"""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from types import TracebackType
from typing import Final, Self, TextIO

from deploy.embedded import StackError
from deploy.embedded.hosts import Host
from deploy.embedded.processes import Process
from deploy.embedded.signals import uninterrupted
from deploy.embedded.waiting import wait_until
from mamochi_site.local.system import CHECKOUT
from tests.chaos.network.rules import DELAYED

# A range for private networks (RFC 1918). Each run takes one of its /24 networks.
NETWORKS: Final = IPv4Network("10.213.0.0/16")
RUNS_AT_ONCE: Final = 8
LOCKS: Final = Path("/run/lock")
FIRST_HOST: Final = 11
# `ip netns exec` shows a namespace the files of its folder here in place of those in /etc.
FILES: Final = Path("/etc/netns")
DOMAIN: Final = "guild.test"
# With the defaults of glibc a name server that is silent costs 10 s, or 30 with three of them.
RESOLVER: Final = "nameserver {}\noptions timeout:1 attempts:2\n"
DEVICE: Final = "delay"
DELAY_S: Final = 0.5
JITTER_S: Final = 0.2
ENDS_WITHIN_S: Final = 5.0
TABLE: Final = "inet chaos"
CHAIN: Final = f"{TABLE} faults"
# What comes from the device that delays was judged before.
FIRST_RULE: Final = f'add rule {CHAIN} iifname "{DEVICE}" accept\n'
NO_RULES: Final = f"""
add table {TABLE}
add chain {CHAIN} {{ type filter hook prerouting priority mangle; }}
flush chain {CHAIN}
{FIRST_RULE}"""


def why_not() -> str:
    """Return why this machine cannot have hosts of its own; an empty text if it can."""
    if sys.platform != "linux":
        return "hosts of their own are network namespaces, which only Linux has"
    if os.geteuid() != 0:
        return "only root may make network namespaces"
    missing = [program for program in ("ip", "nft") if not shutil.which(program)]
    if missing:
        return f"{' and '.join(missing)} is missing (Debian: apt install iproute2 nftables)"
    if not Path("/dev/net/tun").exists():
        return "there is no /dev/net/tun, which delaying packets needs"
    return ""


class Network:
    """The hub and its hosts; a context manager. Raises StackError where the machine has no means.

    Remains of a run that was killed are removed by the next run that takes the same number.
    """

    def __init__(self, names: Sequence[str], log: Path) -> None:
        if reason := why_not():
            raise StackError(f"No hosts of their own: {reason}.")
        self._lock, number = _take_number()
        self.prefix = f"mamochi{number}"
        self.hub = f"{self.prefix}-hub"
        network = [*NETWORKS.subnets(new_prefix=24)][number]
        self._network = str(network)
        self._router = network[1]
        self.runner = Host(str(network[2]))
        self.hosts = {name: self._host(name, network[FIRST_HOST + at]) for at, name in enumerate(names)}
        command = [sys.executable, "-m", "tests.chaos.network.delay", DEVICE]
        command += ["--seconds", str(DELAY_S), "--jitter", str(JITTER_S)]
        self._delay = Process("delay", [*_inside(self.hub), *command], log, CHECKOUT, dict(os.environ))
        command = [sys.executable, "-m", "tests.chaos.network.names", str(self._router)]
        command += [f"{self.name_of(name)}={host.address}" for name, host in self.hosts.items()]
        self._names = Process("names", [*_inside(self.hub), *command], log, CHECKOUT, dict(os.environ))

    def _host(self, name: str, address: IPv4Address) -> Host:
        return Host(str(address), tuple(_inside(f"{self.prefix}-{name}")))

    @staticmethod
    def name_of(host: str) -> str:
        """Return the name by which the other hosts know this one."""
        return f"{host}.{DOMAIN}"

    def __enter__(self) -> Self:
        try:
            self._remove()
            self._make_hub()
            for number, (name, host) in enumerate(self.hosts.items()):
                self._connect(f"{self.prefix}-{name}", host.address, f"to{number}")
            self._start_delay()
            self._names.spawn()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Remove everything; what was removed already is no error."""
        with uninterrupted():
            self._delay.stop(ENDS_WITHIN_S)
            self._names.stop(ENDS_WITHIN_S)
            self._remove()
            self._lock.close()

    @contextmanager
    def applied(self, rules: Sequence[str]) -> Iterator[None]:
        """Let these rules, and no other ones, hold until the block ends."""
        self.set_rules(rules)
        try:
            yield
        finally:
            self.set_rules([])

    @contextmanager
    def without_names(self) -> Iterator[None]:
        """Let there be no name server until the block ends: its host refuses each question."""
        self._names.kill()
        try:
            yield
        finally:
            self._names.spawn()

    def set_rules(self, rules: Sequence[str]) -> None:
        """Replace all rules at once."""
        _run([*_inside(self.hub), "nft", "-f", "-"], NO_RULES + "".join(f"add rule {CHAIN} {rule}\n" for rule in rules))

    def _make_hub(self) -> None:
        _run(["ip", "netns", "add", self.hub])
        for setting in ("ip_forward=1", "conf.all.rp_filter=0", "conf.default.rp_filter=0"):
            name, value = setting.split("=")
            path = f"/proc/sys/net/ipv4/{name.replace('.', '/')}"
            _run([*_inside(self.hub), "tee", path], value)
        _run(["ip", "-n", self.hub, "address", "add", f"{self._router}/32", "dev", "lo"])
        _run(["ip", "-n", self.hub, "link", "set", "lo", "up"])
        _run(["ip", "link", "add", self.prefix, "type", "veth", "peer", "name", "runner", "netns", self.hub])
        self._up("runner", self.runner.address)
        _run(["ip", "address", "add", f"{self.runner.address}/32", "dev", self.prefix])
        _run(["ip", "link", "set", self.prefix, "up"])
        _run(["ip", "route", "add", self._network, "via", str(self._router), "dev", self.prefix, "onlink"])
        self.set_rules([])

    def _connect(self, namespace: str, address: str, device: str) -> None:
        """Make a host whose only way out is the hub."""
        folder = FILES / namespace
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "resolv.conf").write_text(RESOLVER.format(self._router))
        inside = ["ip", "-n", namespace]
        _run(["ip", "netns", "add", namespace])
        _run([*inside, "link", "set", "lo", "up"])
        _run([*inside, "link", "add", "eth0", "type", "veth", "peer", "name", device, "netns", self.hub])
        _run([*inside, "address", "add", f"{address}/32", "dev", "eth0"])
        _run([*inside, "link", "set", "eth0", "up"])
        _run([*inside, "route", "add", "default", "via", str(self._router), "dev", "eth0", "onlink"])
        self._up(device, address)

    def _up(self, device: str, address: str) -> None:
        """Let the hub reach this address by the device."""
        _run(["ip", "-n", self.hub, "link", "set", device, "up"])
        _run(["ip", "-n", self.hub, "route", "add", f"{address}/32", "dev", device])

    def _start_delay(self) -> None:
        """Route what has the mark into the device that delays."""
        self._delay.spawn()
        on_hub = ["ip", "-n", self.hub]
        self._delay.wait_ready(lambda: _succeeds([*on_hub, "link", "set", DEVICE, "up"]), ENDS_WITHIN_S)
        _run([*on_hub, "rule", "add", "fwmark", str(DELAYED), "table", "100"])
        _run([*on_hub, "route", "add", "default", "dev", DEVICE, "table", "100"])

    def _remove(self) -> None:
        """Remove every namespace of this number, and end what still runs there."""
        listed = _run(["ip", "netns", "list"]).split("\n")
        ours = [line.split()[0] for line in listed if line.startswith(f"{self.prefix}-")]
        for namespace in ours:
            wait_until(partial(_is_empty, namespace), ENDS_WITHIN_S, what=f"no process in {namespace}")
            _run(["ip", "netns", "delete", namespace])
            shutil.rmtree(FILES / namespace, ignore_errors=True)  # the hub has none
        if _succeeds(["ip", "link", "show", self.prefix]):  # it may outlive the hub for a moment
            _succeeds(["ip", "link", "delete", self.prefix])


def _take_number() -> tuple[TextIO, int]:
    """Return the first number that no other run has, and its lock, which ends with the process."""
    LOCKS.mkdir(parents=True, exist_ok=True)
    for number in range(RUNS_AT_ONCE):
        lock = (LOCKS / f"mamochi-hosts-{number}.lock").open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
        else:
            return lock, number
    raise StackError(f"{RUNS_AT_ONCE} other runs have hosts of their own on this machine: wait for one to end.")


def _is_empty(namespace: str) -> bool:
    """Send SIGKILL to every process in the namespace; return True if there was none."""
    pids = _run(["ip", "netns", "pids", namespace]).split()
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)
    return not pids


def _inside(namespace: str) -> list[str]:
    return ["ip", "netns", "exec", namespace]


def _succeeds(command: Sequence[str]) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _run(command: Sequence[str], text: str = "") -> str:
    """Return the output of a command. Raises StackError with what the command said."""
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        raise StackError(f"`{' '.join(command)}` failed: {(done.stderr or done.stdout).strip()}.")
    return done.stdout
