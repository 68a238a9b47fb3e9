"""The product's own checks of settings for production."""

from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error
from django.core.checks import Warning as Caution

from mamochi_site import connections
from mamochi_site.environment import text

LOOPBACK: Final = {"localhost", "127.0.0.1", "::1"}
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


def check_logins(**_options: Any) -> list[CheckMessage]:
    """Check that other servers ask for a password; `manage.py check --deploy` runs this."""
    urls = {"CELERY_BROKER_URL": settings.CELERY_BROKER_URL, "CACHE_URL": text("CACHE_URL")}
    return [message for name, url in urls.items() for message in broker_asks(name, url)]


def broker_asks(name: str, url: str) -> Iterator[CheckMessage]:
    """Warn of a Redis or Valkey on another machine without a password."""
    parts = urlsplit(url)
    if not parts.hostname or parts.hostname in LOOPBACK:
        return
    if not parts.password:
        yield Caution(
            f"{name} has no password: who reaches the server can start tasks.",
            hint="Set requirepass on the server, and write rediss://:PASSWORD@HOST:PORT/0.",
            id="mamochi_site.W004",
        )


def check_kafka_login(**_options: Any) -> list[CheckMessage]:
    """Check that the login in Kafka is whole; every command of a process runs this."""
    return [Error(fault, id="mamochi_site.E004") for fault in connections.login_faults()]


def check_addresses(**_options: Any) -> list[CheckMessage]:
    """Check links and sender of e-mails; `manage.py check --deploy` runs this."""
    return [*links_lead_here(settings.SITE_URL), *sender_is_chosen()]


def links_lead_here(site_url: str) -> Iterator[CheckMessage]:
    """Check that SITE_URL is set, is not this machine, and has the scheme that the site serves."""
    hint = "Set SITE_URL to the address at which maestros reach the site, like https://gremio.cl."
    parts = urlsplit(site_url)
    if not text("SITE_URL"):
        yield Error(f"SITE_URL is not set: links in e-mails lead to {site_url}.", hint=hint, id="mamochi_site.E002")
    elif parts.hostname in LOOPBACK:
        yield Error(f"SITE_URL is {site_url}: links in e-mails lead nowhere.", hint=hint, id="mamochi_site.E002")
    elif settings.HTTPS_ONLY and parts.scheme != "https":
        yield Error(f"SITE_URL is {site_url}, and the site serves HTTPS only.", hint=hint, id="mamochi_site.E002")


def sender_is_chosen() -> Iterator[CheckMessage]:
    """Check that DEFAULT_FROM_EMAIL is set: receivers check that its domain allows this server."""
    if not text("DEFAULT_FROM_EMAIL"):
        yield Error(
            f"DEFAULT_FROM_EMAIL is not set: e-mails come from {settings.DEFAULT_FROM_EMAIL}.",
            hint="Set DEFAULT_FROM_EMAIL to an address of a domain that allows your SMTP server to send.",
            id="mamochi_site.E003",
        )
