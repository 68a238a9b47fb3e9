"""The product's own checks of settings for production."""

from collections.abc import Iterator
from typing import Any, Final

from django.conf import settings
from django.core.checks import CheckMessage, Error

NOT_SENDING: Final = ("console", "dummy", "locmem", "filebased")


def check_mail(**_options: Any) -> list[CheckMessage]:
    """Check that e-mails are sent; `manage.py check --deploy` runs this."""
    return list(mail_leaves(settings.EMAIL_BACKEND))


def mail_leaves(backend: str) -> Iterator[CheckMessage]:
    """Check that the backend sends mail.

    An e-mail that the backend accepts counts as sent, and a token exists only in its e-mail.
    """
    if any(name in backend for name in NOT_SENDING):
        yield Error(
            f"EMAIL_BACKEND is {backend}: credentials would count as sent, and their maestro would never get them.",
            hint="Set EMAIL_URL to an SMTP server.",
            id="mamochi_site.E001",
        )
