"""A TCP proxy whose connections can fall silent: they stay open, and nothing arrives any more."""

import selectors
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from deploy.embedded.ports import HOST


class Proxy:
    """Forwards connections to a port until `silence` is called; later connections work."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.listener = socket.create_server((HOST, 0))
        self.port = int(self.listener.getsockname()[1])
        self.generation = 0  # of connections; only those of the newest one are forwarded
        self.silenced: list[socket.socket] = []

    def silence(self) -> None:
        """Forward nothing more on the present connections, and keep them open.

        This is how a server looks after another one has replaced it behind the same address.
        """
        self.generation += 1

    def run(self) -> None:
        """Accept connections until the listener is closed."""
        with suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                threading.Thread(target=self._forward, args=[client, self.generation], daemon=True).start()

    def _forward(self, client: socket.socket, generation: int) -> None:
        server = socket.create_connection((HOST, self.target))
        pairs = {client: server, server: client}
        with selectors.DefaultSelector() as selector, suppress(OSError):
            for one in pairs:
                selector.register(one, selectors.EVENT_READ)
            while self.generation == generation:
                for key, _ in selector.select(0.1):
                    source = key.fileobj
                    assert isinstance(source, socket.socket)
                    data = source.recv(65_536)
                    if self.generation != generation:
                        break
                    if not data:
                        client.close()
                        server.close()
                        return
                    pairs[source].sendall(data)
        self.silenced += [client, server]


@contextmanager
def proxy(target: int) -> Iterator[Proxy]:
    """Run a proxy for a port of loopback until the block ends."""
    running = Proxy(target)
    threading.Thread(target=running.run, daemon=True).start()
    try:
        yield running
    finally:
        running.listener.close()
        for one in running.silenced:
            one.close()
