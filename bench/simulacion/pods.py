"""A pod's work: what a batch costs, and when it is done where the pod has a limit of CPU."""

from dataclasses import dataclass
from math import ceil, floor
from typing import Final

PERIOD: Final = 0.1  # seconds: what a limit is counted in


@dataclass(frozen=True)
class Costs:
    """What work costs, in seconds of CPU: of the pod, and of PostgreSQL, which has no limit.

    `limit` and `rest` are in cores: what a pod may use, and what each uses without any sale.
    """

    limit: float
    rest: float
    batch: float
    row: float
    database_batch: float
    database_row: float

    def work(self, batches: int, rows: int) -> float:
        return self.batch * batches + self.row * rows

    def waits(self, batches: int, rows: int) -> float:
        """Return how long PostgreSQL works, for which the pod waits."""
        return self.database_batch * batches + self.database_row * rows

    def capacity(self, rows: int) -> float:
        """Return the rows per second of a pod whose batches are of so many rows."""
        return rows / (self.work(1, rows) / (self.limit - self.rest) + self.waits(1, rows))


class Clock:
    """When a pod's work is done. Each period has its quota, and what is left of one is lost."""

    def __init__(self, cores: float) -> None:
        self._cores = cores
        self._quota = cores * PERIOD
        self._period = -1
        self._left = 0.0

    def work(self, begin: float, seconds: float) -> float:
        """Return the moment when so much work is done that begins then."""
        if self._cores >= 1:
            return begin + seconds
        period = floor(begin / PERIOD + 1e-9)
        if period > self._period:
            self._period, self._left = period, self._quota
        room = min(self._left, (period + 1) * PERIOD - begin)
        if seconds <= room:
            self._left -= seconds
            return begin + seconds
        seconds -= room
        whole = ceil(seconds / self._quota) - 1  # periods whose quota is used up
        rest = seconds - whole * self._quota
        self._period, self._left = period + 1 + whole, self._quota - rest
        return self._period * PERIOD + rest
