"""A summer day of Santiago: how many sales a second there are at each hour, and when each is made.

The mean is that of an ordinary day. An afternoon of 35 °C sells ten times as much, and a festival
begins from one minute to the next, when the heat is over.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
HOURS: Final = 24.0
HEAT: Final = 10.0  # how many times the mean is sold in the hottest hours
# Hours of Chile, and multiples of an ordinary day's mean; straight lines between them.
SHAPE: Final = (
    *((0.0, 0.3), (2.0, 0.1), (7.0, 0.1)),  # the night
    *((9.0, 0.6), (12.0, 1.2)),  # the morning
    *((14.5, HEAT), (16.5, HEAT), (19.0, 1.5), (20.5, 1.5)),  # the heat
    *((20.51, 12.0), (22.0, 12.0), (22.01, 1.0)),  # the festival
    (24.0, 0.3),
)
STEPS: Final = 24 * 3_600


def multiple_at(hours: Floats) -> Floats:
    """Return how many times the mean is sold at these hours."""
    multiples: Floats = np.interp(hours, *np.array(SHAPE).T)
    return multiples


@dataclass(frozen=True)
class Day:
    """The 24 hours in so many seconds; `mean` is in sales per second."""

    seconds: float
    mean: float

    @property
    def most(self) -> float:
        """Return the greatest rate."""
        return self.mean * max(multiple for _, multiple in SHAPE)

    def hour(self, second: float) -> float:
        """Return the hour of a second; after the end the clock goes on."""
        return second * HOURS / self.seconds % HOURS

    def rate(self, seconds: Floats) -> Floats:
        """Return the sales per second at these seconds of the day."""
        return self.mean * multiple_at(seconds * HOURS / self.seconds)

    def sales(self, seed: int) -> Floats:
        """Return the seconds of all sales, ascending: a Poisson process with the day's rate."""
        chance = np.random.default_rng(seed)
        ends = np.linspace(0, self.seconds, STEPS + 1)
        until = np.concatenate([[0.0], np.cumsum(self.rate((ends[1:] + ends[:-1]) / 2)) * self.seconds / STEPS])
        places = np.sort(chance.uniform(0, until[-1], chance.poisson(until[-1])))
        moments: Floats = np.interp(places, until, ends)
        return moments
