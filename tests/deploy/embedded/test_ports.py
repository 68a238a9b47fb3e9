"""Ports: two stacks that start at once get two, and a person is told which one the web has."""

import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from deploy.embedded.errors import StackError
from deploy.embedded.ports import HOST, free_port, reserved_port
from mamochi_site.local.system import CHECKOUT

RESERVE = """
import sys
from deploy.embedded.ports import reserved_port
with reserved_port(int(sys.argv[1])) as port:
    print(port, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def other() -> Iterator[tuple[int, "subprocess.Popen[str]"]]:
    """Start another program that has chosen its port and does not listen yet."""
    wanted = free_port()
    command = [sys.executable, "-c", RESERVE, str(wanted)]
    with subprocess.Popen(command, cwd=CHECKOUT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert int(process.stdout.readline()) == wanted
        yield wanted, process
        process.kill()


def test_a_port_that_another_stack_has_chosen_is_not_free(other: tuple[int, "subprocess.Popen[str]"]) -> None:
    wanted, process = other
    said: list[str] = []
    with reserved_port(wanted, said.append) as port:
        assert port > wanted
    assert said == [f"port {wanted} is taken by another program: the web has port {port}"]
    process.kill()  # without an end of its block
    process.wait()
    with reserved_port(wanted, said.append) as port:
        assert port == wanted
    assert len(said) == 1


def test_a_port_on_which_a_server_listens_is_not_free() -> None:
    with socket.create_server((HOST, 0)) as server:
        taken = server.getsockname()[1]
        with reserved_port(taken) as port, reserved_port(taken) as another:
            assert taken < port < another


def test_without_a_free_port_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deploy.embedded.ports.is_free", lambda _: False)
    with pytest.raises(StackError, match="choose another one with --port"), reserved_port(20_000):
        pass
