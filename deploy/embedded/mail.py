"""The SMTP sink as a server of the stack; what it runs is `smtp.py`, what it keeps is read by `mailbox.py`."""

import smtplib
import sys
from collections.abc import Callable
from pathlib import Path

from deploy.embedded.ports import HOST, free_port
from deploy.embedded.processes import Supervisor
from deploy.embedded.server import Server

CHECKOUT = Path(__file__).parents[2]


class MailSink(Server):
    """Accepts every mail and delivers none. Stop it, and mail is refused; start it, and it is accepted again."""

    name = "SMTP"
    variable = "EMAIL_URL"

    def __init__(self, mailbox: Path) -> None:
        super().__init__("smtp")
        self.mailbox = mailbox
        self.port = free_port()

    @property
    def url(self) -> str:
        """For Django."""
        return f"smtp://{HOST}:{self.port}"

    @property
    def ports(self) -> dict[str, int]:
        """Name of each listener and its port."""
        return {"smtp": self.port}

    @property
    def servers(self) -> list[Server]:
        """Itself."""
        return [self]

    def start(self, supervisor: Supervisor, say: Callable[[str], None]) -> None:
        """Start it and wait until it answers. Raises StackError."""
        self.mailbox.mkdir(parents=True, exist_ok=True)
        arguments = ["--port", str(self.port), "--mailbox", str(self.mailbox)]
        self.launch(supervisor, [sys.executable, "-m", "deploy.embedded.smtp", *arguments], CHECKOUT)
        self.wait_ready()

    def ready(self) -> bool:
        """Whether it greets a client."""
        try:
            with smtplib.SMTP(HOST, self.port, timeout=2) as client:
                return client.noop()[0] == 250
        except (OSError, smtplib.SMTPException):
            return False
