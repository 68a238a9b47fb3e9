"""Settings of connections that are encrypted or need a login: Kafka, PostgreSQL, Redis or Valkey.

Files are read once, when the process starts. A process whose settings cannot work refuses to start
and names the variable: otherwise it would wait for a server that will never let it in.
"""

import re
import ssl
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit

from django.core.exceptions import ImproperlyConfigured

from mamochi_site.environment import text

# librdkafka's options by variable.
KAFKA: Final = {
    "KAFKA_SECURITY_PROTOCOL": "security.protocol",
    "KAFKA_SASL_MECHANISM": "sasl.mechanism",
    "KAFKA_SASL_USERNAME": "sasl.username",
    "KAFKA_SASL_PASSWORD": "sasl.password",
    "KAFKA_SSL_CA_LOCATION": "ssl.ca.location",
    "KAFKA_SSL_CERTIFICATE_LOCATION": "ssl.certificate.location",
    "KAFKA_SSL_KEY_LOCATION": "ssl.key.location",
    "KAFKA_SSL_KEY_PASSWORD": "ssl.key.password",
}
SECRETS: Final = ("KAFKA_SASL_USERNAME", "KAFKA_SASL_PASSWORD", "KAFKA_SSL_KEY_PASSWORD")  # blanks count
PROTOCOLS: Final = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
WITH_PASSWORD: Final = re.compile(r"PLAIN|SCRAM-.+")
FILES_OF_URLS: Final = ("sslrootcert", "sslcert", "sslkey", "ssl_ca_certs", "ssl_certfile", "ssl_keyfile")


def kafka_client(servers: str) -> dict[str, str]:
    """Return the configuration of Kafka's clients. Raises ImproperlyConfigured."""
    given = _given()
    if _protocol(given) not in PROTOCOLS:
        raise ImproperlyConfigured(
            f"KAFKA_SECURITY_PROTOCOL must be {', '.join(PROTOCOLS[:-1])} or {PROTOCOLS[-1]}, not {_protocol(given)!r}."
        )
    _check_files(given)
    return {"bootstrap.servers": servers, **{KAFKA[name]: value for name, value in given.items()}}


def login_faults() -> Iterator[str]:
    """Say what a login in Kafka lacks, and what the protocol would leave out (checks.py)."""
    given = _given()
    protocol = _protocol(given)
    if protocol.startswith("SASL_"):
        mechanism = given.get("KAFKA_SASL_MECHANISM", "")
        login = ("KAFKA_SASL_USERNAME", "KAFKA_SASL_PASSWORD") if WITH_PASSWORD.fullmatch(mechanism) else ()
        for name in ("KAFKA_SASL_MECHANISM", *login):
            if name not in given:
                yield f"Set {name}: KAFKA_SECURITY_PROTOCOL is {protocol}."
    for name in given:
        unused = (name.startswith("KAFKA_SASL_") and not protocol.startswith("SASL_")) or (
            name.startswith("KAFKA_SSL_") and not protocol.endswith("SSL")
        )
        if unused:
            yield f"{name} is set, and KAFKA_SECURITY_PROTOCOL is {protocol}, which ignores it."


def _given() -> dict[str, str]:
    values = {name: text(name) if name in SECRETS else text(name).strip() for name in KAFKA}
    return {name: value for name, value in values.items() if value}


def _protocol(given: Mapping[str, str]) -> str:
    return given.get("KAFKA_SECURITY_PROTOCOL", "PLAINTEXT").upper()


def _check_files(given: Mapping[str, str]) -> None:
    """Refuse certificates and keys that are not there or do not belong together."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if path := given.get("KAFKA_SSL_CA_LOCATION"):
        _check_readable("KAFKA_SSL_CA_LOCATION", path)
        try:
            context.load_verify_locations(**{"capath" if Path(path).is_dir() else "cafile": path})
        except ssl.SSLError as error:
            raise ImproperlyConfigured(
                f"KAFKA_SSL_CA_LOCATION: {path} holds no certificate ({error.reason})."
            ) from error
    names = ("KAFKA_SSL_CERTIFICATE_LOCATION", "KAFKA_SSL_KEY_LOCATION")
    present = [name for name in names if name in given]
    for name in present:
        _check_readable(name, given[name])
    if len(present) == 1:
        raise ImproperlyConfigured(f"Set {' and '.join(names)}, or none of them: only {present[0]} is set.")
    if present:
        certificate, key = (given[name] for name in names)
        password = given.get("KAFKA_SSL_KEY_PASSWORD", "")
        try:
            context.load_cert_chain(certificate, key, lambda: password)  # without a function it would ask a terminal
        except (ssl.SSLError, ValueError) as error:
            reason = getattr(error, "reason", None) or error
            raise ImproperlyConfigured(
                f"KAFKA_SSL_KEY_LOCATION: {key} is no key of {certificate}, or KAFKA_SSL_KEY_PASSWORD is not its "
                f"password ({reason})."
            ) from error


def check_url_files(name: str, url: str) -> None:
    """Refuse a URL with a certificate or key that cannot be read.

    Raises ImproperlyConfigured, also if the server's certificate is to be verified against nothing.
    """
    options = dict(parse_qsl(urlsplit(url).query))
    for option in FILES_OF_URLS:
        if (path := options.get(option)) and path != "system":
            _check_readable(f"{name}, {option}", path)
    if options.get("sslmode", "").startswith("verify-") and "sslrootcert" not in options:
        raise ImproperlyConfigured(
            f"{name} has sslmode={options['sslmode']} and no sslrootcert: add the file of the authority's certificate, "
            "or sslrootcert=system."
        )


def with_checked_certificate(url: str) -> str:
    """Return the URL; `rediss://` gets `ssl_cert_reqs=required`, unless it says otherwise.

    Without it, Celery encrypts and trusts any certificate (kombu: "defaulting to insecure SSL").
    """
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query))
    if parts.scheme != "rediss" or "ssl_cert_reqs" in options:
        return url
    return parts._replace(query=urlencode({"ssl_cert_reqs": "required", **options})).geturl()


def _check_readable(name: str, path: str) -> None:
    try:
        if not Path(path).is_dir():
            Path(path).read_bytes()
    except OSError as error:
        raise ImproperlyConfigured(f"{name}: {path} cannot be read ({type(error).__name__}).") from error
