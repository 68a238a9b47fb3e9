"""The process's clients for requests to the brokers, and whether a broker answers."""

import logging
import os
from functools import cache
from typing import Final, Literal

from confluent_kafka import Consumer, KafkaException
from confluent_kafka.admin import AdminClient
from django.conf import settings

from kafka_bridge import conf
from kafka_bridge.brokers import certificate

client_logger = logging.getLogger("kafka_bridge.librdkafka")  # the C library's messages on its connections

WATERMARKS_GROUP: Final = f"{conf.PREFIX}-watermarks"  # required by the client, never joined
TIMEOUT_SECONDS: Final = 10.0
# After so long without the answer to a request, a client closes its connection and makes a new one.
# The default of librdkafka is 60 s: a broker that another one has replaced behind the same address
# would hold up a process for as long.
SILENCE_MS: Final = 10_000
Isolation = Literal["read_committed", "read_uncommitted"]


def admin() -> AdminClient:
    """Return this process's admin client; one that a fork inherited would never answer."""
    return _admin_of(os.getpid(), certificate.version())


def offsets_consumer(isolation: Isolation = "read_uncommitted") -> Consumer:
    """Return this process's consumer for requests about offsets; it never joins a group.

    With `read_committed`, a partition ends where its first open transaction begins.
    """
    return _offsets_consumer_of(os.getpid(), certificate.version(), isolation)


def answers(timeout: float) -> bool:
    """Return True if a broker answers within `timeout` seconds."""
    try:
        admin().list_topics(timeout=timeout)
    except KafkaException:
        return False
    return True


def forget_clients() -> None:
    """Create the clients again when they are next needed, with the settings of that moment."""
    _admin_of.cache_clear()
    _offsets_consumer_of.cache_clear()


@cache
def _admin_of(_pid: int, _certificate: certificate.Version) -> AdminClient:
    return AdminClient(_config(), logger=client_logger)


@cache
def _offsets_consumer_of(_pid: int, _certificate: certificate.Version, isolation: Isolation) -> Consumer:
    config = {**_config(), "group.id": WATERMARKS_GROUP, "isolation.level": isolation}
    return Consumer(config, logger=client_logger)


def _config() -> dict[str, str | int | float | bool]:
    return {
        **settings.KAFKA_CLIENT_CONFIG,
        "socket.connection.setup.timeout.ms": 2_000,
        "socket.timeout.ms": SILENCE_MS,
        # With the default a client asks a partition's former leader for many minutes.
        "metadata.max.age.ms": 2_000,
    }
