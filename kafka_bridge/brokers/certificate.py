"""This process's own certificate, if it has one: whether its files were renewed.

A client of librdkafka reads the files once, when the client is made. A process that Kafka refuses
compares the files with those it read. If they differ, the process makes a new client, without a
restart.
"""

import ssl
from pathlib import Path
from typing import Final, TypeAlias

from django.conf import settings

CERTIFICATE: Final = "ssl.certificate.location"
KEY: Final = "ssl.key.location"
Version: TypeAlias = tuple[int, ...]


def version() -> Version:
    """Return when the files were written; empty if there are none."""
    try:
        return tuple(Path(path).stat().st_mtime_ns for path in map(_option, (CERTIFICATE, KEY)) if path)
    except OSError:
        return ()


def is_renewed(since: Version) -> bool:
    """Return True if the files have changed since that version, and belong together."""
    return version() not in (since, ()) and _belong_together()


def _belong_together() -> bool:
    """Return False while only one of the two was replaced."""
    password = _option("ssl.key.password") or ""
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_cert_chain(_option(CERTIFICATE) or "", _option(KEY), lambda: password)
    except (OSError, ValueError):  # an SSLError is an OSError
        return False
    return True


def _option(name: str) -> str | None:
    value: str | None = settings.KAFKA_CLIENT_CONFIG.get(name)
    return value
