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
# Hours of Chile, and multiples of an ordinary day's mean; straight lines between them.
SHAPE: Final = (
    *((0.0, 0.3), (2.0, 0.1), (7.0, 0.1)),  # the night
    *((9.0, 0.6), (12.0, 1.2)),  # the morning
    *((14.5, 10.0), (16.5, 10.0), (19.0, 1.5), (20.5, 1.5)),  # the heat
    *((20.51, 12.0), (22.0, 12.0), (22.01, 1.0)),  # the festival
    (24.0, 0.3),
)
PARTS: Final = {"noche": (0.0, 7.0), "mañana": (7.0, 12.0), "calor": (12.0, 19.0), "festival": (20.5, 22.0)}
STEPS: Final = 24 * 3_600


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
        hours, multiples = np.array(SHAPE).T
        rates: Floats = self.mean * np.interp(seconds * HOURS / self.seconds, hours, multiples)
        return rates

    def sales(self, seed: int) -> Floats:
        """Return the seconds of all sales, ascending: a Poisson process with the day's rate."""
        chance = np.random.default_rng(seed)
        ends = np.linspace(0, self.seconds, STEPS + 1)
        until = np.concatenate([[0.0], np.cumsum(self.rate((ends[1:] + ends[:-1]) / 2)) * self.seconds / STEPS])
        places = np.sort(chance.uniform(0, until[-1], chance.poisson(until[-1])))
        return np.interp(places, until, ends)
