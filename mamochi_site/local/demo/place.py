"""Where the demo plays: the embedded system or the containers of deploy/compose."""

from pathlib import Path
from typing import Protocol

from deploy.embedded.mailbox import Mailbox


class Place(Protocol):
    """A running system, as the demo sees it."""

    @property
    def url(self) -> str:
        """Return the web's address, such as http://127.0.0.1:8000."""

    @property
    def mailbox(self) -> Mailbox:
        """Return the e-mails that the system sent."""

    @property
    def logs(self) -> Path:
        """Return the folder with a log per process."""

    def failure(self) -> str:
        """Return which process has ended and its last words; while all run an empty text."""
