"""Safe access to the fields of a message that confluent-kafka delivered."""

from operator import methodcaller
from typing import Final, cast

from confluent_kafka import Message as KafkaMessage

from kafka_bridge.events.codec import Headers
from kafka_bridge.events.topics import Partition
from kafka_bridge.exceptions import Undecodable
from kafka_bridge.models import DeadLetter

# For a header whose name is not UTF-8, the client returns a list with a null pointer and also sets
# an error. CPython's specialised call (in any loop) looks only at the list and crashes; a call from
# C looks at the error.
_call_headers: Final = methodcaller("headers")


def partition_of(message: KafkaMessage) -> Partition:
    """Return the topic and partition of a message.

    The client's types allow None, which only a message has that was never sent.
    """
    return cast(str, message.topic()), cast(int, message.partition())


def headers_of(message: KafkaMessage) -> Headers:
    """Return the message's headers.

    Raises Undecodable if the name of a header is not UTF-8; a second call then finds no headers.
    """
    try:
        return dict(_call_headers(message) or ())
    except SystemError as error:
        message.set_headers([])  # the client would return the null pointer the second time
        raise Undecodable(DeadLetter.Reason.UNDECODABLE, "the name of a header is not UTF-8") from error
