"""Many clients who come while the web takes no connection: all of them wait, and are answered."""

import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import psutil
import pytest

from tests.attack.conftest import Target
from tests.attack.wire import HOST, answer_to, request_bytes

pytestmark = [pytest.mark.django_db, pytest.mark.slow]
CLIENTS = 400
SOON = 5.0  # seconds; Linux drops a connection for which there is no room, and it is tried again after 1 s, 3 s, 7 s


def test_clients_wait_while_the_process_takes_no_connection(target: Target) -> None:
    with ExitStack() as stack:
        with _frozen(target.pid):
            clients = [stack.enter_context(socket.create_connection((HOST, target.port), SOON)) for _ in range(CLIENTS)]
            for client in clients:
                client.sendall(request_bytes("GET", "/health/live"))
        assert {answer_to(client).status for client in clients} == {200}


@contextmanager
def _frozen(pid: int) -> Iterator[None]:
    processes = psutil.Process(pid).children(recursive=True)
    for process in processes:
        process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for process in processes:
            process.send_signal(signal.SIGCONT)
