"""Free TCP ports on loopback."""

import random
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from deploy.embedded.errors import StackError

# Below Linux's ephemeral range (32768 and up), so that no outgoing connection takes a port between
# our choice and the server's bind, or while a killed server is down.
CANDIDATES = range(20_000, 32_000)
HOST = "127.0.0.1"

_given: set[int] = set()


def is_free(port: int) -> bool:
    """Return True if a server could listen on `port` of loopback now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """Return a free port of loopback that this process has not received before."""
    for port in random.sample(CANDIDATES, k=500):
        if port not in _given and is_free(port):
            _given.add(port)
            return port
    raise StackError(f"No free port between {CANDIDATES.start} and {CANDIDATES.stop}: stop some servers.")


@contextmanager
def reserved_port(wanted: int, say: Callable[[str], None] = lambda _: None) -> Iterator[int]:
    """Yield `wanted` or the next free port after it; tell a person if the web has another one.

    During the block no other process gets the port from this function. Without that, of two stacks
    that start at once both would choose it, because a web listens only seconds after its port was
    chosen. Raises StackError if 100 ports are taken.
    """
    for port in range(wanted, wanted + 100):
        # Linux frees this name when the process ends, in any way. As a port, it is known in one
        # network namespace only.
        with socket.socket(socket.AF_UNIX) as reservation:
            try:
                reservation.bind(f"\0mamochi-port-{port}")
            except OSError:
                continue
            if is_free(port):
                if port != wanted:
                    say(f"port {wanted} is taken by another program: the web has port {port}")
                yield port
                return
    raise StackError(f"No free port from {wanted} to {wanted + 99}: choose another one with --port.")
