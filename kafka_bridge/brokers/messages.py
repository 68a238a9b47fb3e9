"""Safe access to the fields of a message that confluent-kafka delivered."""

from datetime import UTC, datetime, timedelta
from operator import methodcaller
from typing import Final, cast

from confluent_kafka import TIMESTAMP_NOT_AVAILABLE
from confluent_kafka import Message as KafkaMessage

from kafka_bridge.events.codec import Headers
from kafka_bridge.events.event import EARLIEST, LATEST
from kafka_bridge.events.topics import Partition
from kafka_bridge.exceptions import Undecodable
from kafka_bridge.models import DeadLetter

# For a header whose name is not UTF-8, the client returns a list with a null pointer and also sets
# an error. CPython's specialised call (in any loop) looks only at the list and crashes; a call from
# C looks at the error.
_call_headers: Final = methodcaller("headers")

EARLIEST_MS: Final = EARLIEST.timestamp() * 1_000
LATEST_MS: Final = LATEST.timestamp() * 1_000

# A timestamp that lies further in the future is no moment at which the message was stored.
CLOCK_DIFFERENCE: Final = timedelta(days=1)


def partition_of(message: KafkaMessage) -> Partition:
    """Return the topic and partition of a message.

    The client's types allow None, which only a message has that was never sent.
    """
    return cast(str, message.topic()), cast(int, message.partition())


def size_of(message: KafkaMessage) -> int:
    """Return the bytes of value and key; nothing is copied."""
    return len(message) + len(message.key() or b"")


def stored_at(message: KafkaMessage) -> datetime | None:
    """Return when Kafka stored the message, UTC; None if its timestamp cannot be true.

    In a topic with CreateTime the timestamp is a claim of the sender: it may be missing, negative,
    or lie in the year 58851.
    """
    kind, milliseconds = message.timestamp()
    latest = (datetime.now(UTC) + CLOCK_DIFFERENCE).timestamp() * 1_000
    if kind == TIMESTAMP_NOT_AVAILABLE or not EARLIEST_MS <= milliseconds <= latest:
        return None
    return datetime.fromtimestamp(milliseconds / 1_000, UTC)


def check_timestamp(message: KafkaMessage) -> None:
    """Raise Undecodable for a timestamp outside of the years that an event may have.

    The sender of such a message is broken, so a person looks at it. A timestamp that is only wrong,
    or missing, says nothing about the event.
    """
    kind, milliseconds = message.timestamp()
    if kind != TIMESTAMP_NOT_AVAILABLE and not EARLIEST_MS <= milliseconds < LATEST_MS:
        years = f"{EARLIEST.year} to {LATEST.year - 1}"
        detail = f"the timestamp {milliseconds} (ms since 1970) lies outside of the years {years}"
        raise Undecodable(DeadLetter.Reason.UNDECODABLE, detail)


def headers_of(message: KafkaMessage) -> Headers:
    """Return the message's headers.

    Raises Undecodable if the name of a header is not UTF-8; a second call then finds no headers.
    """
    try:
        return dict(_call_headers(message) or ())
    except SystemError as error:
        message.set_headers([])  # the client would return the null pointer the second time
        raise Undecodable(DeadLetter.Reason.UNDECODABLE, "the name of a header is not UTF-8") from error
