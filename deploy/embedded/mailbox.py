"""Reading the mails that the SMTP sink kept."""

from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from functools import cached_property
from pathlib import Path

from deploy.embedded.waiting import wait_until


@dataclass(frozen=True)
class Mail:
    """One received mail."""

    path: Path
    message: EmailMessage

    @cached_property
    def to(self) -> str:
        """The header To, as written."""
        return str(self.message["to"])

    @cached_property
    def subject(self) -> str:
        """The header Subject, decoded."""
        return str(self.message["subject"])

    @property
    def text(self) -> str:
        """The plain text body."""
        return self._body("plain")

    @property
    def html(self) -> str:
        """The HTML body; empty where there is none."""
        return self._body("html")

    def _body(self, kind: str) -> str:
        part = self.message.get_body(preferencelist=(kind,))
        return str(part.get_content()) if part is not None else ""


class Mailbox:
    """The folder of an SMTP sink; mails in the order in which they arrived."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._read: dict[Path, Mail] = {}

    def mails(self, *, to: str | None = None, subject: str | None = None) -> list[Mail]:
        """Those whose To contains `to` and whose Subject contains `subject` (both case-insensitive)."""
        return [mail for mail in self._all() if _has(mail.to, to) and _has(mail.subject, subject)]

    def wait_for(
        self, *, to: str | None = None, subject: str | None = None, count: int = 1, timeout: float = 15.0
    ) -> list[Mail]:
        """At least `count` such mails, or TimeoutError after `timeout` seconds, naming what did arrive."""

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
        """Files never change once they have their name, so each is parsed once."""
        for path in sorted(self.folder.glob("*.eml")):
            if path not in self._read:
                self._read[path] = Mail(path, message_from_bytes(path.read_bytes(), policy=policy.default))
        return [self._read[path] for path in sorted(self._read)]


def _has(text: str, part: str | None) -> bool:
    return part is None or part.casefold() in text.casefold()
