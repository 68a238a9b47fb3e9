"""Why this process cannot connect to Kafka: its login or a certificate is refused.

The client only tells a request that it got no answer. What went wrong with its connections it
reports by `error_cb`, again with each attempt. So the last report, if it is recent, is the cause.
"""

import logging
import re
import socket
import ssl
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from django.conf import settings

from kafka_bridge.brokers import access
from kafka_bridge.diagnosis import NO_RIGHTS

logger = logging.getLogger(__name__)

RECENT_SECONDS: Final = 45.0  # librdkafka repeats a report after 30 s at the latest
HANDSHAKE_SECONDS: Final = 2.0
BROKER: Final = re.compile(r"^(?:sasl_)?ssl://(?P<host>[^/]+):(?P<port>\d+)/")
SASL_REASON: Final = re.compile(r"SASL (?:authentication|\S+) error: (?P<why>.*?)(?: \(after [^)]*\))?$")
SILENT: Final = (
    KafkaError._TRANSPORT,
    KafkaError._TIMED_OUT,
    KafkaError._ALL_BROKERS_DOWN,
    KafkaError._AUTHENTICATION,
    KafkaError._SSL,
    KafkaError._RESOLVE,
)
_examining: Final = ThreadPoolExecutor(1, "kafka-trouble")


class _LastTrouble:
    def __init__(self) -> None:
        self.text = ""
        self.at = 0.0  # monotonic seconds


_last: Final = _LastTrouble()


def note(error: KafkaError) -> None:
    """Take a report of a client about its connections, as its `error_cb`.

    A certificate that this process refuses is looked at in the background: the report does not
    tell what is wrong with it.
    """
    if _is_of_server_certificate(error):
        _examining.submit(_examine, error)
    elif text := _explain(error):
        _remember(text)


def sentence() -> str:
    """Return why the last attempts to connect failed; empty if that is not known or long ago."""
    return _last.text if time.monotonic() - _last.at < RECENT_SECONDS else ""


def over() -> None:
    """Forget the trouble: Kafka has answered."""
    _last.text = ""


def ask(seconds: float = 5.0) -> str:
    """Connect once more, and return why that fails; empty if Kafka answers or does not say.

    For commands: they may wait, and their client has had no time to report.
    """
    reports: list[KafkaError] = []
    config: dict[str, Any] = {**settings.KAFKA_CLIENT_CONFIG, "error_cb": reports.append, "log_level": 0}
    client = AdminClient(config)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        client.poll(0.1)
        if text := next(filter(None, map(_explain, reports)), ""):
            return text
        with suppress(KafkaException):
            client.list_topics(timeout=0.2)
            break
    return ""


def refusal(error: KafkaError, operation: str, resource: str) -> str:
    """Return why a command's request failed, and what to do, in a sentence without its full stop.

    `operation` on `resource` is the right that the request needs.
    """
    if error.code() in NO_RIGHTS:
        return access.lacking(error, operation, resource)
    if error.code() not in SILENT:
        return f"Kafka refused: {error.str()}"
    cause = ask() or "check bootstrap.servers in KAFKA_CLIENT_CONFIG, and that the brokers run"
    return f"Kafka does not answer ({error.str()}): {cause}"


def _examine(error: KafkaError) -> None:
    if text := _explain(error):
        _remember(text)


def _remember(text: str) -> None:
    if text != sentence():
        logger.error("%s", text)
    _last.text, _last.at = text, time.monotonic()


def _explain(error: KafkaError) -> str:
    """Return a report in words, with a remedy; empty for one that is neither login nor TLS."""
    said = error.str() or ""
    if error.code() in NO_RIGHTS:
        return access.lacking(error, "Write", "any topic")  # what an idempotent producer asks for first
    if error.code() == KafkaError._AUTHENTICATION:
        why = SASL_REASON.search(said)
        return (
            f"Kafka refuses the login of {access.user()} ({why['why'] if why else said}): the user or the password is "
            "wrong, check sasl.username and sasl.password"
        )
    if _is_of_server_certificate(error):
        return _explain_server_certificate(said)
    if "SSL routines" in said and " alert " in said:
        path = settings.KAFKA_CLIENT_CONFIG.get("ssl.certificate.location")
        return (
            f"Kafka refuses the certificate of this client ({path or 'it has none'}): it is missing, has expired, or "
            "is of an authority that the brokers do not trust. Renew it, or check ssl.certificate.location and "
            "ssl.key.location"
        )
    return ""


def _is_of_server_certificate(error: KafkaError) -> bool:
    return "certificate verify failed" in (error.str() or "")


def _explain_server_certificate(said: str) -> str:
    """Repeat the handshake with Python's client, which tells what is wrong with a certificate.

    Return an empty text if it succeeds: the certificate was renewed since the report.
    """
    place = BROKER.match(said)
    if place is None:
        return f"the certificate of a broker is refused: {said}"
    host, port = place["host"].strip("[]"), int(place["port"])
    fault = _fault(host, port)
    if fault is None:
        return ""
    return (
        f"the certificate of the broker {host}:{port} is refused: {fault or said}. Renew it, or check "
        "ssl.ca.location and the names in bootstrap.servers and in the brokers' advertised.listeners"
    )


def _fault(host: str, port: int) -> str | None:
    """Return what is wrong with a certificate; empty if that is not known, None for nothing.

    Without ssl.ca.location Python and librdkafka may trust different authorities.
    """
    config = settings.KAFKA_CLIENT_CONFIG
    try:
        context = ssl.create_default_context(cafile=config.get("ssl.ca.location"))
        context.check_hostname = config.get("ssl.endpoint.identification.algorithm", "https") == "https"
        with socket.create_connection((host, port), HANDSHAKE_SECONDS) as plain:
            context.wrap_socket(plain, server_hostname=host).close()
    except ssl.SSLCertVerificationError as error:
        return error.verify_message
    except OSError:
        return ""
    return None if config.get("ssl.ca.location") else ""
