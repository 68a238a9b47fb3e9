"""The engine's exceptions. Each docstring says what happened and what to do about it.

What an error of the database or of Kafka means is in diagnosis.py.
"""


class Undecodable(ValueError):
    """A message holds no event that this project can read; it becomes a dead letter.

    `reason` is one of `DeadLetter.Reason`. The text names the field and never quotes the value,
    which may be personal data. Declare the missing type, or correct the payload and replay it.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


class MessageTooLarge(ValueError):
    """An event is too large for Kafka, so it was not accepted.

    The text is translated and names the limit. Answer 413: the same event would be refused again.
    Events that were published by the same call may be in Kafka if the limit is one of the topic.
    """


class Unavailable(Exception):
    """Neither Kafka nor the database took the events; they are not accepted.

    Answer 503 and let the client retry with the same ids: events that reached Kafka nevertheless
    are then counted once. The servers have to come back.
    """


class Fenced(Exception):
    """Another member of the group has moved the partition's offset, so ours is stale.

    Roll back, read the offset again and go on from there. No message is to blame.
    """


class TooManyDeadLetters(Exception):
    """So many messages fail that the cause is probably a bug or a missing dependency.

    The consumer stops and skips nothing. Fix the cause, then start the consumer again.
    """


class OffsetsLost(Exception):
    """Kafka no longer has the messages at the consumer's offset (retention, a recreated topic).

    Restore the topic's data, or accept the loss: `manage.py run_consumer NAME --accept-loss`.
    """


class NotReplayable(ValueError):
    """A dead letter cannot be replayed: its payload or its consumer does not fit.

    The text is translated, names the field and quotes no data. Correct the payload and try again.
    """


class AlreadyResolved(Exception):
    """The dead letter was replayed or discarded before; nothing was done again.

    Nothing needs to be mended: load the row again to see who resolved it.
    """


class KafkaUnavailable(Exception):
    """Kafka did not answer a question. The text is the client's reason. Ask again later."""
