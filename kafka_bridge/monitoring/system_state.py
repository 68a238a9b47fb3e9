"""The state of consumers and of the outbox, as the overview reports it."""

from typing import Final

import msgspec
from django.utils.translation import gettext

PAUSED_SECONDS: Final = 30.0  # longer than any batch: see consuming.batch.TRANSACTION_TIMEOUT_MS


class Progress(msgspec.Struct, frozen=True):
    """A consumer's position in one partition.

    `lag` is in messages. `waiting_s` is the time that the next message has waited, in seconds. Both
    are None if Kafka did not answer.
    """

    topic: str
    partition: int
    next_offset: int
    lag: int | None
    waiting_s: float | None


class GroupState(msgspec.Struct, frozen=True):
    """One lane of a consumer, which is a consumer group of Kafka.

    Values are None if Kafka did not answer. `last_batch` is an ISO 8601 time, UTC. `still_s` is the
    time since one of its offsets last moved, in seconds. How often a process waits for a server or
    rolls a batch back is in its own counters (metrics.OUTAGES, metrics.FENCED).
    """

    group: str
    consumer: str
    lane: str
    members: int | None
    hosts: list[str]
    progress: list[Progress]
    last_batch: str | None
    open_dead_letters: int
    recent_dead_letters: int  # created in the last hour, resolved or not
    still_s: float = 0.0
    # Observed causes for a lag, as texts for people: where an open transaction holds the group up,
    # and topics that were recreated and not begun again.
    open_transactions: list[str] = []
    recreated: list[str] = []

    @property
    def lag(self) -> int | None:
        """Messages not yet applied; None if any partition's are unknown."""
        known = [one.lag for one in self.progress if one.lag is not None]
        return sum(known) if len(known) == len(self.progress) else None

    @property
    def waiting_s(self) -> float | None:
        """For how long the oldest message waits; None if any partition's wait is unknown."""
        known = [one.waiting_s for one in self.progress if one.waiting_s is not None]
        return max(known, default=0.0) if len(known) == len(self.progress) else None

    @property
    def applied(self) -> int:
        """Messages applied so far. The rate is the difference of two overviews."""
        return sum(one.next_offset for one in self.progress)

    @property
    def paused(self) -> bool:
        """True if messages wait, the group has members and none of them applies anything.

        They wait for a server, or their partitions are paused.
        """
        return bool(self.members and self.lag) and min(self.still_s, self.waiting_s or self.still_s) > PAUSED_SECONDS

    @property
    def state(self) -> str:
        """The state in a word, in the language of the reader."""
        if self.members == 0:
            return gettext("stopped")
        if self.members is None or self.lag is None:
            return "?"
        if self.lag == 0:
            return gettext("up to date")
        return gettext("paused") if self.paused else gettext("applying")


class Refused(msgspec.Struct, frozen=True):
    """Messages of one topic that Kafka refused for good with the same error, by its name."""

    topic: str
    error: str
    messages: int


class Outbox(msgspec.Struct, frozen=True):
    """The messages in the database that wait for Kafka; `oldest_s` is 0 if there are none.

    `refused`: those that Kafka has refused for good, which no other field counts.
    """

    messages: int
    oldest_s: float
    missing: dict[str, int] = {}  # messages for partitions that Kafka does not have, by name
    refused: list[Refused] = []
