"""TLS before PostgreSQL and Valkey: their wheels are built without it.

In production a server has TLS itself, or stands behind such a program too (pgbouncer, stunnel).
"""

import socket
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import quote, urlsplit

from deploy.embedded.ports import free_port
from deploy.embedded.processes import Supervisor
from deploy.embedded.security.authority import Authority, Identity
from deploy.embedded.server import Server

CHECKOUT: Final = Path(__file__).parents[3]
POSTGRES: Final = "postgres"


class Behind(Protocol):
    """The server behind, a part of the stack."""

    name: str
    variable: str

    @property
    def url(self) -> str: ...

    @property
    def ports(self) -> dict[str, int]: ...

    @property
    def servers(self) -> list[Server]: ...

    def start(self, supervisor: Supervisor, say: Callable[[str], None]) -> None: ...


class Front(Server):
    """The terminator of one server."""

    def __init__(self, behind: Server, target: tuple[str, int], identity: Identity) -> None:
        super().__init__(f"{behind.process_name}-tls", behind.host)
        self.target = target
        self.identity = identity
        self.port = free_port()

    def start(self, supervisor: Supervisor) -> None:
        """Start the terminator and wait until it listens. Raises StackError."""
        files = ["--certificate", str(self.identity.certificate), "--key", str(self.identity.key)]
        where = ["--listen", f"{self.host.address}:{self.port}", "--target", "{}:{}".format(*self.target)]
        kind = ["--postgres"] if self.process_name.startswith(POSTGRES) else []
        module = ["-m", "deploy.embedded.security.terminator"]
        self.launch(supervisor, [sys.executable, *module, *where, *files, *kind], CHECKOUT)
        self.wait_ready()

    def ready(self) -> bool:
        """Return True if the terminator accepts connections."""
        try:
            socket.create_connection((self.host.address, self.port), 2).close()
        except OSError:
            return False
        return True


class WithTls:
    """A part whose clients must use TLS and must trust the stack's authority only."""

    def __init__(self, behind: Behind, authority: Authority) -> None:
        self.behind = behind
        self.name = behind.name
        self.variable = behind.variable
        self.authority = authority
        [server] = behind.servers
        [port] = behind.ports.values()
        identity = authority.issue(server.process_name, hosts=[server.host.address])
        self.front = Front(server, (server.host.address, port), identity)

    @property
    def url(self) -> str:
        """Return the URL for clients; it is known before the start."""
        parts = urlsplit(self.behind.url)
        login = parts.netloc.rpartition("@")[0]
        trusted = quote(str(self.authority.certificate), safe="")
        if self.front.process_name.startswith(POSTGRES):
            scheme, query = parts.scheme, f"sslmode=verify-full&sslrootcert={trusted}"
        else:
            scheme, query = "rediss", f"ssl_cert_reqs=required&ssl_ca_certs={trusted}"
        return f"{scheme}://{login}@{self.front.host.address}:{self.front.port}{parts.path}?{query}"

    @property
    def ports(self) -> dict[str, int]:
        """Return the port of each listener by name."""
        return self.behind.ports | {self.front.process_name: self.front.port}

    @property
    def servers(self) -> list[Server]:
        """Return the server and its terminator."""
        return [*self.behind.servers, self.front]

    def renew(self, ends: datetime | None = None) -> None:
        """Replace the certificate while it runs, which ends all connections. Raises StackError."""
        self.authority.issue(self.behind.servers[0].process_name, hosts=[self.front.host.address], ends=ends)
        self.front.restart()

    def start(self, supervisor: Supervisor, say: Callable[[str], None]) -> None:
        """Start both and wait until they are ready. Raises StackError."""
        self.behind.start(supervisor, say)
        self.front.start(supervisor)
