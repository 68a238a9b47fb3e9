"""The process's clients for requests to the brokers, and whether a broker answers."""

import logging
import os
from functools import cache
from typing import Final

from confluent_kafka import Consumer, KafkaException
from confluent_kafka.admin import AdminClient
from django.conf import settings

from kafka_bridge import conf

client_logger = logging.getLogger("kafka_bridge.librdkafka")  # the C library's messages on its connections

TIMEOUT_SECONDS: Final = 10.0


def admin() -> AdminClient:
    """Return this process's admin client; one that a fork inherited would never answer."""
    return _admin_of(os.getpid())


def offsets_consumer() -> Consumer:
    """Return this process's consumer for requests about offsets; it never joins a group."""
    return _offsets_consumer_of(os.getpid())


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
def _admin_of(_pid: int) -> AdminClient:
    return AdminClient(_config(), logger=client_logger)


@cache
def _offsets_consumer_of(_pid: int) -> Consumer:
    return Consumer({**_config(), "group.id": f"{conf.PREFIX}-watermarks"}, logger=client_logger)


def _config() -> dict[str, str | int | float | bool]:
    return {
        **settings.KAFKA_CLIENT_CONFIG,
        "socket.connection.setup.timeout.ms": 2_000,
        # With the default a client asks a partition's former leader for many minutes.
        "metadata.max.age.ms": 2_000,
    }
