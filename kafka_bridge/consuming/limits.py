"""TODO."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import takewhile

from kafka_bridge.exceptions import TooManyDeadLetters


@dataclass(frozen=True)
class FailureLimit:
    """Past either limit a consumer stops rather than dead-letter the topic."""

    in_a_row: int = 100
    share: float = 0.5  # of the last `window` messages
    window: int = 1_000

    def check(self, before: Sequence[bool], new: Sequence[bool]) -> None:
        """Takes the outcomes of messages in their order, True for a failure. Raises TooManyDeadLetters if new ones exceed one."""
        recent = deque(before, maxlen=self.window)
        in_a_row = len(list(takewhile(bool, reversed(before))))
        for failed in new:
            recent.append(failed)
            in_a_row = in_a_row + 1 if failed else 0
            if in_a_row > self.in_a_row:
                raise TooManyDeadLetters(f"more than {self.in_a_row} messages in a row failed")
            if failed and len(recent) == self.window and sum(recent) > self.window * self.share:
                raise TooManyDeadLetters(f"more than {self.share:.0%} of {self.window} messages failed")


@dataclass
class GroupSize:
    """How many records are tried at once: a whole batch while all is well, fewer the closer together the culprits stand.

    Kept from batch to batch, so that steady poison does not cost the work of a whole batch each time.
    """

    most: int
    records: int = field(init=False)

    def __post_init__(self) -> None:
        self.records = self.most

    def passed(self, tried: int) -> None:
        """Grows, unless there were too few to tell."""
        if tried >= self.records:
            self.records = min(self.most, self.records + max(1, self.records // 5))

    def failed(self) -> None:
        """Shrinks more than a success grows it: an attempt that fails is work for nothing."""
        self.records = max(1, self.records // 2)
