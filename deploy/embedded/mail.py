"""The SMTP sink as a server of the stack; its program is `smtp.py`."""

import smtplib
import sys
from collections.abc import Callable
from pathlib import Path

from deploy.embedded.hosts import LOOPBACK, Host
from deploy.embedded.ports import free_port
from deploy.embedded.processes import Supervisor
from deploy.embedded.server import Server

CHECKOUT = Path(__file__).parents[2]


class MailSink(Server):
    """A server that accepts every mail and delivers none; while it is stopped, connections fail."""

    name = "SMTP"
    variable = "EMAIL_URL"

    def __init__(self, mailbox: Path, *, host: Host = LOOPBACK) -> None:
        super().__init__("smtp", host)
        self.mailbox = mailbox
        self.port = free_port()

    @property
    def url(self) -> str:
        """Return the URL for Django's settings."""
        return f"smtp://{self.host.address}:{self.port}"

    @property
    def ports(self) -> dict[str, int]:
        """Return the port of each listener by name."""
        return {"smtp": self.port}

    @property
    def servers(self) -> list[Server]:
        """Return this server, the part's only one."""
        return [self]

    def start(self, supervisor: Supervisor, say: Callable[[str], None]) -> None:
        """Start the server and wait until it answers. Raises StackError."""
        self.mailbox.mkdir(parents=True, exist_ok=True)
        arguments = ["--host", self.host.address, "--port", str(self.port), "--mailbox", str(self.mailbox)]
        self.launch(supervisor, [sys.executable, "-m", "deploy.embedded.smtp", *arguments], CHECKOUT)
        self.wait_ready()

    def ready(self) -> bool:
        """Return True if the server answers a client."""
        try:
            with smtplib.SMTP(self.host.address, self.port, timeout=2) as client:
                return client.noop()[0] == 250
        except (OSError, smtplib.SMTPException):
            return False
