"""A TCP proxy whose connections can fall silent: they stay open, and nothing arrives any more."""

import selectors
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from deploy.embedded.ports import HOST


class Proxy:
    """Forwards connections to a port, until they fall silent.

    `silence`: those of now, as of a server that another one has replaced behind the same address.
    `hold`: new ones too, until `release`, as of a server that is frozen; the held ones stay silent.
    `mute_after`: a connection falls silent once the server has sent these bytes.
    """

    def __init__(self, target: int, port: int = 0) -> None:
        self.target = target
        self.listener = socket.create_server((HOST, port))
        self.port = int(self.listener.getsockname()[1])
        self.generation = 0  # of connections; only those of the newest one are forwarded
        self.holds = False
        self.mute_after = b""
        self.kept: list[socket.socket] = []

    def silence(self) -> None:
        """Forward nothing more on the present connections, and keep them open."""
        self.generation += 1

    def hold(self) -> None:
        """Forward nothing more, on new connections neither."""
        self.holds = True
        self.silence()

    def release(self) -> None:
        """Forward the connections that are made from now on."""
        self.holds, self.mute_after = False, b""

    def run(self) -> None:
        """Accept connections until the listener is closed."""
        with suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                if self.holds:
                    self.kept.append(client)
                else:
                    threading.Thread(target=self._forward, args=[client, self.generation], daemon=True).start()

    def _forward(self, client: socket.socket, generation: int) -> None:
        try:
            server = socket.create_connection((HOST, self.target))
        except OSError:  # the server does not run yet
            client.close()
            return
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
                    if source is server and self.mute_after and self.mute_after in data:
                        generation = -1
                        break
        self.kept += [client, server]


@contextmanager
def proxy(target: int, port: int = 0) -> Iterator[Proxy]:
    """Run a proxy for a port of loopback until the block ends."""
    running = Proxy(target, port)
    threading.Thread(target=running.run, daemon=True).start()
    try:
        yield running
    finally:
        running.listener.close()
        for one in running.kept:
            one.close()
