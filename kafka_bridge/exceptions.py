"""TODO."""


class Undecodable(ValueError):
    """A message that is no event of ours. `reason` is one of the DeadLetter reasons; the text never quotes the value."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


class Unavailable(Exception):
    """Neither Kafka nor the database took the events: nothing was accepted. Answer 503 and let the client retry."""


class Fenced(Exception):
    """Another member has moved this partition's offset: what we hold is stale. Read it again; no message is to blame."""


class TooManyDeadLetters(Exception):
    """So much fails that the cause is not in the messages. Mend it, then start the consumer again: nothing was skipped."""


class OffsetsLost(Exception):
    """Messages between our offset and what Kafka still has are gone. Restore them, or start with --accept-loss."""


class NotReplayable(ValueError):
    """The payload or its consumer does not fit. The text, in Spanish, names the field and quotes no data: correct it."""


class AlreadyResolved(Exception):
    """Someone has replayed or discarded it before: nothing was done again."""


class KafkaUnavailable(Exception):
    """Kafka did not answer a question. The text is the client's reason. Ask again later."""
