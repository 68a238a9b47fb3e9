"""Sales on their way to the pods, counted by partition and step of time."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.demanda.day import Day

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Arrivals:
    """`until` has by partition how many sales there were at the end of each step of `step` seconds.

    The first figure is that at the beginning.
    """

    step: float
    until: list[list[int]]

    @property
    def count(self) -> int:
        return sum(each[-1] for each in self.until)

    @property
    def seconds(self) -> float:
        return self.step * (len(self.until[0]) - 1)

    def place(self, moment: float) -> int:
        """Return the index of the last step that has ended."""
        return min(int(moment / self.step + 1e-9), len(self.until[0]) - 1)


def of_day(day: Day, partitions: int, step: float, seed: int, others: int = 0) -> Arrivals:
    """Return a day's sales: Poisson processes, as many maestros are who sell by chance.

    `others`: partitions in which nothing comes, but which are shared out, too, and first.
    """
    chance = np.random.default_rng(seed)
    middles = np.arange(step / 2, day.seconds, step, dtype=np.float64)
    expected = day.rate(middles) * step / partitions
    nothing = np.zeros((others, len(middles)), dtype=np.int64)
    return from_counts(step, np.concatenate([nothing, chance.poisson(expected, (partitions, len(middles)))]))


def at_once(count: int, partitions: int, step: float) -> Arrivals:
    """Return sales that all wait at the beginning."""
    first = [count * (number + 1) // partitions - count * number // partitions for number in range(partitions)]
    return Arrivals(step, [[each, each] for each in first])


def from_counts(step: float, counts: Ints) -> Arrivals:
    """Return arrivals from how many there are by partition and step."""
    until = np.concatenate([np.zeros((len(counts), 1), dtype=np.int64), np.cumsum(counts, axis=1)], axis=1)
    return Arrivals(step, until.tolist())
