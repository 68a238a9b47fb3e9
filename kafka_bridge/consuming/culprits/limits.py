"""How a consumer reacts to failures: when it stops, and how many records it tries at once."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import takewhile

from kafka_bridge.exceptions import TooManyDeadLetters


@dataclass(frozen=True)
class FailureLimit:
    """How many messages may fail before the consumer stops.

    Without a limit, a bug in a handler would turn the whole topic into dead letters.
    """

    in_a_row: int = 100
    share: float = 0.5  # of the last `window` messages
    window: int = 1_000

    def check(self, before: Sequence[bool], new: Sequence[bool]) -> None:
        """Raise TooManyDeadLetters if a new failure exceeds the limit.

        `before` and `new` are the outcomes of messages in their order, True for a failure.
        """
        recent = deque(before, maxlen=self.window)
        in_a_row = len(list(takewhile(bool, reversed(before))))
        for failed in new:
            recent.append(failed)
            in_a_row = in_a_row + 1 if failed else 0
            self.check_in_a_row(in_a_row)
            if failed and len(recent) == self.window and sum(recent) > self.window * self.share:
                raise TooManyDeadLetters(f"more than {self.share:.0%} of {self.window} messages failed")

    def check_in_a_row(self, failures: int) -> None:
        """Raise TooManyDeadLetters if so many consecutive failures exceed the limit."""
        if failures > self.in_a_row:
            raise TooManyDeadLetters(f"more than {self.in_a_row} messages in a row failed")


@dataclass
class GroupSize:
    """How many records are tried at once (`records`, at most `most`).

    Normally that is a whole batch; it is less while culprits lie close together. The runner keeps
    the size from batch to batch: otherwise each batch with a culprit would first be tried, and
    fail, as a whole.
    """

    most: int
    records: int = field(init=False)

    def __post_init__(self) -> None:
        self.records = self.most

    def passed(self, tried: int) -> None:
        """Grow by a fifth, unless the group was smaller than the size and so proves nothing."""
        if tried >= self.records:
            self.records = min(self.most, self.records + max(1, self.records // 5))

    def failed(self) -> None:
        """Shrink to half: a failed attempt is wasted work, so this is more than `passed` adds."""
        self.records = max(1, self.records // 2)
