"""Reading the mails that the SMTP sink has received."""

from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from functools import cached_property
from pathlib import Path

from deploy.embedded.waiting import wait_until


@dataclass(frozen=True)
class Mail:
    """A received mail."""

    path: Path
    message: EmailMessage

    @cached_property
    def to(self) -> str:
        """Return the header To, as written."""
        return str(self.message["to"])

    @cached_property
    def subject(self) -> str:
        """Return the header Subject, decoded."""
        return str(self.message["subject"])

    @property
    def text(self) -> str:
        """Return the plain text body, or an empty text."""
        return self._body("plain")

    @property
    def html(self) -> str:
        """Return the HTML body, or an empty text."""
        return self._body("html")

    def _body(self, kind: str) -> str:
        part = self.message.get_body(preferencelist=(kind,))
        return str(part.get_content()) if part is not None else ""


class Mailbox:
    """The folder of an SMTP sink, with the mails in the order of their arrival."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._read: dict[Path, Mail] = {}

    def mails(self, *, to: str | None = None, subject: str | None = None) -> list[Mail]:
        """Return the mails whose To contains `to` and whose Subject contains `subject`.

        Both comparisons ignore case.
        """
        return [mail for mail in self._all() if _has(mail.to, to) and _has(mail.subject, subject)]

    def wait_for(
        self, *, to: str | None = None, subject: str | None = None, count: int = 1, timeout: float = 15.0
    ) -> list[Mail]:
        """Wait until at least `count` such mails have arrived, and return them.

        Raises TimeoutError after `timeout` seconds; its text lists the mails to that address.
        """

        def enough() -> list[Mail] | None:
            found = self.mails(to=to, subject=subject)
            return found if len(found) >= count else None

        try:
            return wait_until(enough, timeout) or []
        except TimeoutError:
            arrived = [(mail.to, mail.subject) for mail in self.mails(to=to)]
            wanted = f"{count} mail(s) to {to!r} with subject {subject!r}"
            raise TimeoutError(f"{wanted} did not arrive in {timeout:g} s; there are {arrived}") from None

    def _all(self) -> list[Mail]:
        """Return all mails; each file is parsed once, because it never changes after its rename."""
        for path in sorted(self.folder.glob("*.eml")):
            if path not in self._read:
                self._read[path] = Mail(path, message_from_bytes(path.read_bytes(), policy=policy.default))
        return [self._read[path] for path in sorted(self._read)]


def _has(text: str, part: str | None) -> bool:
    return part is None or part.casefold() in text.casefold()
