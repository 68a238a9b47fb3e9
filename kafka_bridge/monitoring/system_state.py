"""TODO."""

from typing import Final

import msgspec

PAUSED_SECONDS: Final = 30.0  # a batch that takes longer is cut short (batch.TRANSACTION_TIMEOUT_MS)


class Progress(msgspec.Struct, frozen=True):
    """A consumer on one partition. `lag` in messages, None without Kafka; `waiting_s`: since when its next message waits."""

    topic: str
    partition: int
    next_offset: int
    lag: int | None
    waiting_s: float | None


class GroupState(msgspec.Struct, frozen=True):
    """A consumer's lane. What is None, Kafka did not say. Times are ISO 8601, UTC.

    `still_s`: for how long none of its offsets has moved. Its waits for a server and undone batches are its process's own
    counters (metrics.OUTAGES, FENCED).
    """

    group: str
    consumer: str
    lane: str
    members: int | None
    hosts: list[str]
    progress: list[Progress]
    last_batch: str | None
    open_dead_letters: int
    recent_dead_letters: int  # of the last hour, whatever became of them
    still_s: float = 0.0

    @property
    def lag(self) -> int | None:
        """None where any partition's is unknown."""
        known = [one.lag for one in self.progress if one.lag is not None]
        return sum(known) if len(known) == len(self.progress) else None

    @property
    def waiting_s(self) -> float | None:
        """None where any partition's is unknown."""
        known = [one.waiting_s for one in self.progress if one.waiting_s is not None]
        return max(known, default=0.0) if len(known) == len(self.progress) else None

    @property
    def state(self) -> str:
        """In a word, in Spanish."""
        if self.members == 0:
            return "detenido"
        if self.members is None or self.lag is None:
            return "?"
        if self.lag == 0:
            return "al día"
        return "en pausa" if self.paused else "aplicando"

    @property
    def paused(self) -> bool:
        """It has members, messages wait, and none is applied: it waits out an outage, or its partitions are paused."""
        return bool(self.members and self.lag) and min(self.still_s, self.waiting_s or self.still_s) > PAUSED_SECONDS


class Outbox(msgspec.Struct, frozen=True):
    """What waits for Kafka in the database; `oldest_s` is 0 where nothing does."""

    messages: int
    oldest_s: float
