"""Messages that Kafka refuses for good: found before they are sent, or told by Kafka's answer.

Refused for good is what is wrong with the message itself: its size, or a content that the broker
does not store. A topic that is missing or that may not be written is not: an operator can mend it,
and then the same message passes, so such messages wait.
"""

from collections.abc import Iterable
from typing import Final

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import ConfigResource
from django.utils.translation import gettext

from kafka_bridge.brokers import client
from kafka_bridge.events.codec import Message
from kafka_bridge.exceptions import MessageTooLarge

# Less than the message.max.bytes of the producer (1,000,000) and the max.message.bytes of a topic
# (1,048,588), so that a dead letter can be replayed with one more header.
LARGEST_MESSAGE: Final = 990_000
BATCH_BYTES: Final = 100  # more than Kafka adds to a message that is sent alone
CONFIG_SECONDS: Final = 2.0

SIZE: Final = frozenset({KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE})
FOR_GOOD: Final = SIZE | {
    KafkaError.INVALID_MSG_SIZE,
    KafkaError.INVALID_RECORD,
    KafkaError.INVALID_TIMESTAMP,
    KafkaError.UNSUPPORTED_FOR_MESSAGE_FORMAT,
    KafkaError.POLICY_VIOLATION,
}


def is_of_the_message(error: KafkaError | None) -> bool:
    """Return True if Kafka refuses the message itself, so that the next one may pass.

    Kafka refuses a batch as a whole: the message may be innocent unless it was sent alone.
    """
    return error is not None and error.code() in FOR_GOOD


def check_sizes(messages: Iterable[Message]) -> None:
    """Raise MessageTooLarge for a message that Kafka would refuse with its usual limits."""
    for message in messages:
        # Adding up headers takes longer than sending; they are short (codec.py).
        if len(message.key) + len(message.value) > LARGEST_MESSAGE // 2 and message.size > LARGEST_MESSAGE:
            raise too_large(message.size, LARGEST_MESSAGE)


def too_large(size: int, limit: int) -> MessageTooLarge:
    """Return the exception for a message of `size` bytes."""
    text = gettext("The message has %(size)d bytes; Kafka accepts up to %(limit)d. Make it shorter.")
    return MessageTooLarge(text % {"size": size, "limit": limit})


def check_limits_of_topics(failures: Iterable[tuple[Message, KafkaError | None]]) -> None:
    """Raise MessageTooLarge if Kafka refused a message that is larger than its topic's limit.

    Kafka refuses a batch as a whole, so a refused message may be small. Asks Kafka once per topic;
    if it does not answer, the message waits in the outbox.
    """
    largest: dict[str, int] = {}
    for message, error in failures:
        if error is not None and error.code() in SIZE:
            largest[message.topic] = max(message.size, largest.get(message.topic, 0))
    for topic, size in largest.items():
        limit = _limit_of(topic)
        if limit is not None and size + BATCH_BYTES > limit:
            raise too_large(size, limit - BATCH_BYTES)


def _limit_of(topic: str) -> int | None:
    """Return the topic's max.message.bytes; None if Kafka does not tell."""
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic)
    try:
        found = client.admin().describe_configs([resource], request_timeout=CONFIG_SECONDS)[resource].result()
    except KafkaException:
        return None
    return int(found["max.message.bytes"].value)
