"""Questions to the brokers: do they answer, which topics are there, where do partitions end."""

import logging
import os
from functools import cache
from typing import Final

from confluent_kafka import Consumer, KafkaException
from confluent_kafka.admin import AdminClient
from django.conf import settings

from kafka_bridge import conf

client_logger = logging.getLogger("kafka_bridge.librdkafka")  # what the C library says of its connections

TIMEOUT_SECONDS: Final = 10.0


def admin() -> AdminClient:
    """One admin client a process: a forked one would never answer."""
    return _admin_of(os.getpid())


@cache
def _admin_of(_pid: int) -> AdminClient:
    return AdminClient(_config(), logger=client_logger)


@cache
def _asking_consumer(_pid: int) -> Consumer:
    """It never joins a group."""
    return Consumer({**_config(), "group.id": f"{conf.PREFIX}-watermarks"}, logger=client_logger)


def _config() -> dict[str, str | int | float | bool]:
    return {
        **settings.KAFKA_CLIENT_CONFIG,
        "socket.connection.setup.timeout.ms": 2_000,
        "metadata.max.age.ms": 2_000,  # with the default a client asks a partition's former leader for many minutes
    }


def answers(timeout: float) -> bool:
    """Whether a broker answers within `timeout` seconds."""
    try:
        admin().list_topics(timeout=timeout)
    except KafkaException:
        return False
    return True
