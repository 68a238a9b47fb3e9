"""A law for the CPU of a process by rate: each sale costs something, and so does each batch.

Sales that come within `gather` seconds share a batch, so there are r / (1 + gather r) batches per
second: cores(r) = sale r + batch r / (1 + gather r). At few sales a second each has a batch of its
own; at many the cost of batches no longer grows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

Floats = NDArray[np.float64]
GATHERS: Final = np.geomspace(1e-3, 10, 80)  # seconds, among which the best one is taken
ROUNDS: Final = 100  # of the bootstrap
SAME: Final = 1.1  # what is accepted at one rate differs a little from round to round
SURE: Final = (2.5, 97.5)  # percentiles


@dataclass(frozen=True)
class Estimate:
    """A figure and its 95 % interval."""

    value: float
    low: float
    high: float

    def times(self, factor: float) -> "Estimate":
        """Return the estimate of a multiple."""
        return Estimate(self.value * factor, self.low * factor, self.high * factor)

    def widened(self, factor: float) -> "Estimate":
        """Return the estimate with an interval whose ends are so many times as far."""
        return Estimate(self.value, self.low / factor, self.high * factor)

    def holds(self, measured: float) -> bool:
        """Return whether a measurement lies in the interval."""
        return self.low <= measured <= self.high


def cores(rate: Floats, sale: float, batch: float, gather: float) -> Floats:
    """Return the cores that are used at rates in sales per second; costs in seconds."""
    return sale * rate + batch * rate / (1 + gather * rate)


def fit(rates: Floats, used: Floats) -> Floats:
    """Return the law's three numbers, none negative, that come nearest by relative error.

    For a given `gather` the law is linear in the costs of a sale and of a batch.
    """
    weights = 1 / np.maximum(used, 1e-6)
    tries = []
    for gather in GATHERS:
        parts = np.stack([rates * weights, rates / (1 + gather * rates) * weights], axis=1)
        (sale, batch), error = nnls(parts, used * weights)
        tries.append((error, sale, batch, gather))
    return np.array(min(tries)[1:])


def steps_of(rates: Floats) -> list[NDArray[np.intp]]:
    """Return the places of the points of each step: rates within SAME of the lowest of them."""
    steps: list[list[int]] = []
    for place in np.argsort(rates).tolist():
        if steps and rates[place] <= SAME * rates[steps[-1][0]]:
            steps[-1].append(place)
        else:
            steps.append([place])
    return [np.array(step) for step in steps]


class Fitted:
    """A law fitted to points (rate, cores), and to resamples of them.

    Each resample draws as many points at each rate as were measured there, and adds a relative
    error drawn from those of the fit: that of the rounds and that of the law.
    """

    def __init__(self, points: Sequence[tuple[float, float]], seed: int) -> None:
        chance = np.random.default_rng(seed)
        rates, used = np.array(points).T
        self.law = fit(rates, used)
        steps = steps_of(rates)
        self.errors = used / cores(rates, *self.law)
        self.drawn: list[Floats] = []
        for _ in range(ROUNDS):
            chosen = np.concatenate([chance.choice(step, len(step)) for step in steps])
            self.drawn.append(fit(rates[chosen], used[chosen] * chance.choice(self.errors, len(chosen))))
        self._noise = chance.choice(self.errors, ROUNDS)

    def cost(self, rate: float, *, with_noise: bool = False) -> Estimate:
        """Return the ms of CPU per sale; `with_noise` as one measurement would show it."""
        at = np.array([rate])
        each = np.array([float(cores(at, *law)[0]) for law in self.drawn]) * (self._noise if with_noise else 1)
        low, high = np.percentile(each, SURE)
        return Estimate(*(1_000 * figure / rate for figure in (float(cores(at, *self.law)[0]), low, high)))
