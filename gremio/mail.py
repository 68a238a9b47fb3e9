"""E-mails: a message with a text and an HTML body, and what SMTP's errors mean."""

import re
from email.utils import parseaddr
from smtplib import SMTPDataError, SMTPException, SMTPRecipientsRefused, SMTPResponseException
from typing import Any, Final

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.template.loader import render_to_string

from gremio.lectura.direcciones import con_dominio_ascii

# What sending can raise: SMTP refuses, the server is not reachable, or an address fits into no
# header.
DELIVERY_ERRORS: Final = (SMTPException, OSError, ValueError)
LONGEST_ANSWER: Final = 1_000  # characters
CLOSING_CONNECTION: Final = 421  # SMTP: the server closes this connection
# How long a worker tries to send, in seconds; shorter than a claim. EMAIL_TIMEOUT limits each wait
# for the server only: one that sends a byte now and then would keep a worker without end.
LONGEST_SENDING_S: Final = 150
KILLED_AFTER_S: Final = LONGEST_SENDING_S + 15  # where closing the connection hangs, too
_ENHANCED_CODE: Final = re.compile(r"[245]\.\d{1,3}\.\d{1,3}\b")  # RFC 3463


def message(
    subject: str, template: str, context: dict[str, Any], *, to: str, message_id: str
) -> EmailMultiAlternatives:
    """Return a mail ready to send, rendered from `template` with the endings `.txt` and `.html`."""
    mail = EmailMultiAlternatives(
        subject,
        render_to_string(f"{template}.txt", context),
        to=[con_dominio_ascii(to)],
        headers={"Message-ID": message_id, "Auto-Submitted": "auto-generated"},
    )
    mail.attach_alternative(render_to_string(f"{template}.html", context), "text/html")
    return mail


def message_id(*parts: object) -> str:
    """Return the Message-ID `<part.part@domain>`, in the domain of DEFAULT_FROM_EMAIL.

    Give it the mail's cause: then a mail that is sent twice has the same Message-ID, and mailboxes
    show it once.
    """
    domain = parseaddr(settings.DEFAULT_FROM_EMAIL)[1].rpartition("@")[2]
    return f"<{'.'.join(map(str, parts))}@{domain}>"


def resend_part(resent: int) -> tuple[str, ...]:
    """Return what the Message-ID of a mail contains that staff have sent again `resent` times.

    A mailbox shows messages with equal ids once, so a mail that staff send again needs another id.
    The first mail has no such part.
    """
    return (f"r{resent}",) if resent else ()


def codes(error: Exception) -> set[int]:
    """Return the SMTP codes of an error; empty if the server did not answer."""
    return {code for code, _ in _answers(error)}


def recipient_is_refused_for_good(error: Exception) -> bool:
    """Return whether the recipient's address will never work.

    SMTP answers 5xx to such a recipient, or the address cannot stand in a header (ValueError). A
    refused sender or a failed login does not count: these are our own mistakes to repair.
    """
    if isinstance(error, SMTPRecipientsRefused):
        return all(code >= 500 for code in codes(error))
    return isinstance(error, ValueError)


def email_is_refused(error: Exception) -> bool:
    """Return whether only this e-mail is refused; otherwise the other e-mails would fail too."""
    of_email = isinstance(error, SMTPRecipientsRefused | SMTPDataError | ValueError)
    return of_email and CLOSING_CONNECTION not in codes(error)


def content_is_refused_for_good(error: Exception) -> bool:
    """Return whether the server answered 5xx to the message itself (DATA)."""
    return isinstance(error, SMTPDataError) and error.smtp_code >= 500


def summary(error: Exception) -> str:
    """Return the error's class with SMTP's code and enhanced code, as `SMTPDataError 550 5.7.1`.

    Fit for logs: SMTP's text, which may quote an address, is left out.
    """
    for code, text in _answers(error):
        enhanced = _ENHANCED_CODE.match(text)
        return " ".join([type(error).__name__, str(code), *([enhanced[0]] if enhanced else [])])
    return type(error).__name__


def answer(error: Exception) -> str:
    """Return the server's answer, as `550 5.1.1 no such user`; if there is none, the error.

    For rows that staff read, never for logs: the server's text may quote the recipient's address.
    """
    answers = [f"{code} {text}" for code, text in _answers(error)] or [f"{type(error).__name__}: {error}"]
    return "; ".join(answer.replace("\x00", "")[:LONGEST_ANSWER] for answer in answers)


def _answers(error: Exception) -> list[tuple[int, str]]:
    """Return code and text of each answer: one per recipient, or one for the whole message."""
    if isinstance(error, SMTPRecipientsRefused):
        return [(code, _decoded(text)) for code, text in error.recipients.values()]
    if isinstance(error, SMTPResponseException):
        return [(error.smtp_code, _decoded(error.smtp_error))]
    return []


def _decoded(text: bytes | str) -> str:
    return text.decode(errors="replace") if isinstance(text, bytes) else text
