"""Free TCP ports on loopback."""

import random
import socket

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


def next_free_port(wanted: int) -> int:
    """Return `wanted`, or the next free port after it. Raises StackError if 100 ports are taken."""
    for port in range(wanted, wanted + 100):
        if is_free(port):
            return port
    raise StackError(f"No free port from {wanted} to {wanted + 99}: choose another one with --port.")
