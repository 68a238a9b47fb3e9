"""TODO."""

from operator import methodcaller
from typing import Final, cast

from confluent_kafka import Message as KafkaMessage

from kafka_bridge.events.codec import Headers
from kafka_bridge.events.topics import Partition
from kafka_bridge.exceptions import Undecodable
from kafka_bridge.models import DeadLetter

# The client returns a list with a null pointer in it and an error besides. A call that CPython has specialised, as in any
# loop, looks only at the list and crashes; one from C looks at the error.
_ask_for_headers: Final = methodcaller("headers")


def partition_of(message: KafkaMessage) -> Partition:
    """The topic and partition of a message; the client's types would allow None, which only an unsent one has."""
    return cast(str, message.topic()), cast(int, message.partition())


def headers_of(message: KafkaMessage) -> Headers:
    """The message's headers. Raises Undecodable where the name of one is not UTF-8; asked again, it then has none."""
    try:
        return dict(_ask_for_headers(message) or ())
    except SystemError as error:
        message.set_headers([])  # the client would hand out a null pointer the second time
        raise Undecodable(DeadLetter.Reason.UNDECODABLE, "the name of a header is not UTF-8") from error
