"""Packets between hosts arrive, are lost and are delayed as the rules say."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import pytest

from deploy.embedded import StackError
from deploy.embedded.hosts import LOOPBACK, Host
from deploy.embedded.waiting import wait_until
from tests.chaos.network import rules
from tests.chaos.network.hub import DELAY_S, JITTER_S, Network, why_not

pytestmark = [pytest.mark.chaos, pytest.mark.alone, pytest.mark.skipif(bool(why_not()), reason=why_not() or "it can")]
PORT = 9
ECHO = f"""
import socket, sys
echo = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
echo.bind((sys.argv[1], {PORT}))
print("ready", flush=True)
while True:
    echo.sendto(*echo.recvfrom(2048))
"""
# Send packets to each address at intervals; tell the seconds that each answer took, by address.
ASK = f"""
import json, select, socket, sys, time
count, *addresses = int(sys.argv[1]), *sys.argv[2:]
ask = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
took, sent = {{address: [] for address in addresses}}, 0
ends = time.monotonic() + count * 0.005 + 2
while (now := time.monotonic()) < ends:
    if sent < count:
        sent += 1
        for address in addresses:
            ask.sendto(str(now).encode(), (address, {PORT}))
    while select.select([ask], [], [], 0.005)[0]:
        packet, (address, _) = ask.recvfrom(2048)
        took[address].append(time.monotonic() - float(packet))
print(json.dumps(took))
"""

LOOK_UP = "import socket, sys; print(socket.getaddrinfo(sys.argv[1], 80, type=socket.SOCK_STREAM)[0][4][0])"


@dataclass
class Lan:
    """Three hosts: `b` and `c` answer every packet."""

    network: Network

    def __getitem__(self, name: str) -> Host:
        return self.network.hosts[name]

    def asked(self, name: str, *others: str, count: int = 20) -> list[list[float]]:
        """Return the seconds of each answer, per other host, to packets from this one."""
        asker = self[name] if name else LOOPBACK
        addresses = [self[other].address for other in others]
        command = [*asker.enter, sys.executable, "-c", ASK, str(count), *addresses]
        took = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        return [took[address] for address in addresses]

    def counted(self, name: str, *others: str) -> list[int]:
        """Return how many of 20 packets each other host answered."""
        return [len(took) for took in self.asked(name, *others)]


@pytest.fixture
def lan(tmp_path: Path) -> Iterator[Lan]:
    with Network(["a", "b", "c"], tmp_path / "delay.log") as network:
        echoes = [echo(network.hosts[name]) for name in ("b", "c")]
        yield Lan(network)
        for process in echoes:
            process.kill()
            process.communicate()


def echo(host: Host) -> "subprocess.Popen[str]":
    command = [*host.enter, sys.executable, "-c", ECHO, host.address]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def test_a_cut_link_is_silent_and_heals(lan: Lan) -> None:
    assert lan.counted("a", "b", "c") == [20, 20]
    with lan.network.applied(rules.cut([lan["a"]], [lan["b"]])):
        assert lan.counted("a", "b", "c") == [0, 20]
        assert lan.counted("", "b") == [20]
    assert lan.counted("a", "b") == [20]


def test_a_link_can_lose_one_direction(lan: Lan) -> None:
    with lan.network.applied([rules.lose([lan["b"]], [lan["a"]])]):
        assert lan.counted("a", "b") == [0]
        assert lan.counted("c", "b") == [20]
    with lan.network.applied([rules.lose([lan["a"]], [lan["c"]])]):
        assert lan.counted("a", "c", "b") == [0, 20]


def test_some_packets_are_lost(lan: Lan) -> None:
    with lan.network.applied(rules.lose_some([lan["a"], lan["b"]], 30)):
        [took] = lan.asked("a", "b", count=1000)
    # A question and its answer: 0.7 * 0.7 = 49 % come back; five standard deviations are 8 %.
    assert 410 < len(took) < 570


def test_packets_are_delayed_by_different_times(lan: Lan) -> None:
    with lan.network.applied(rules.delay([lan["b"]])):
        delayed, direct = lan.asked("a", "b", "c", count=100)
    assert len(delayed) == len(direct) == 100
    assert max(direct) < DELAY_S - JITTER_S
    # A question and its answer are delayed once each.
    assert min(delayed) >= 2 * (DELAY_S - JITTER_S)
    assert abs(median(delayed) - 2 * DELAY_S) < 0.15
    assert max(delayed) - min(delayed) > JITTER_S


def test_names_are_told_and_are_not(lan: Lan) -> None:
    assert address_of(lan, "b") == lan["b"].address
    assert address_of(lan, "nowhere") == ""
    with lan.network.applied(rules.no_names()):
        assert address_of(lan, "b") == ""
    with lan.network.without_names():
        assert address_of(lan, "b") == ""
    wait_until(lambda: address_of(lan, "b") == lan["b"].address, 10)


def address_of(lan: Lan, name: str) -> str:
    """Return what the host `a` is told about this name, or an empty text."""
    command = [*lan["a"].enter, sys.executable, "-c", LOOK_UP, lan.network.name_of(name)]
    return subprocess.run(command, check=False, capture_output=True, text=True).stdout.strip()


def test_nothing_remains(tmp_path: Path) -> None:
    before = state_of_machine()
    with Network(["a"], tmp_path / "delay.log") as network:
        assert state_of_machine() != before
        left_alone = subprocess.Popen([*network.hosts["a"].enter, "sleep", "600"])
    assert state_of_machine() == before
    assert left_alone.wait(5) == -9


def test_remains_of_a_killed_run_are_removed_by_the_next(tmp_path: Path) -> None:
    before = state_of_machine()
    run = f"""
import os, signal, subprocess
from pathlib import Path
from tests.chaos.network.hub import Network
with Network(["a"], Path({str(tmp_path / "delay.log")!r})) as network:
    subprocess.Popen([*network.hosts["a"].enter, "sleep", "600"])
    os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", run], check=False).returncode == -9
    assert state_of_machine() != before
    with Network(["b"], tmp_path / "delay.log"):
        pass
    assert state_of_machine() == before


def test_ordinary_users_are_told_why_not(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(StackError, match="only root"):
        Network(["a"], tmp_path / "delay.log")


def state_of_machine() -> list[str]:
    """Return the machine's namespaces, devices and routes."""
    commands = ("ip netns list", "ip -br link", "ip route")
    return [subprocess.run(command.split(), check=True, capture_output=True, text=True).stdout for command in commands]
