"""Rights that Kafka refuses: who lacks which one on what, and who can grant it.

The rights that each process needs are in `kafka_bridge.rights`.
"""

from typing import Final

from confluent_kafka import KafkaError
from django.conf import settings

GRANT: Final = "an administrator of Kafka grants it with manage.py kafka_rights --apply"


def user() -> str:
    """Return who this process is for Kafka."""
    config = settings.KAFKA_CLIENT_CONFIG
    if name := config.get("sasl.username"):
        return f"User:{name}"
    if path := config.get("ssl.certificate.location"):
        return f"the user of the certificate {path}"
    return "User:ANONYMOUS"


def lacking(error: KafkaError, operation: str, resource: str) -> str:
    """Return the right that the user lacks, and the remedy.

    `resource` is what was asked for, such as `topic orders`.
    """
    return f"{user()} lacks the right {operation} on {resource} ({error.name()}): {GRANT}"
