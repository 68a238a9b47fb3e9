"""A discrete simulation: sales come to partitions, pods take them, and a rule chooses pods.

Events are a pod's turns, its start and its end, and the moments at which KEDA looks. Sales come as
`arrivals.py` says.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from heapq import heappop, heappush
from itertools import count
from math import ceil
from typing import Final

import numpy as np

from bench.demanda.day import Floats
from bench.demanda.policy import Autoscaler
from bench.demanda.trial import Policy
from bench.simulacion.arrivals import Arrivals
from bench.simulacion.pods import Clock, Costs

MOST_SAMPLES: Final = 200_000  # of sales, whose waits are returned
Action = Callable[[float], None]


@dataclass(frozen=True)
class Consumers:
    """How pods behave. `start`: s until a new one has its partitions; `leave`: s without an owner.

    The broker gathers sales for `gather` seconds. With a `step` above that, a pod's turn stands for
    all the batches that it makes in so many seconds, so that long days can be simulated.
    """

    costs: Costs
    start: float
    leave: float
    gather: float = 0.07
    most: int = 2_000
    step: float = 0.0

    @property
    def turn(self) -> float:
        """Return how many seconds a pod's turn takes at least."""
        return max(self.gather, self.step)

    @property
    def most_of_a_turn(self) -> int:
        """Return how many rows a turn takes at most."""
        return max(self.most, ceil(self.costs.capacity(self.most) * self.step))

    def batches(self, rows: int) -> int:
        """Return how many batches so many rows of a turn are."""
        return max(ceil(rows / self.most), min(rows, round(self.turn / self.gather)))


@dataclass
class Outcome:
    """What became of the sales, and what was paid. `series`: second, lag, pods."""

    waits: Floats
    rows: int
    batches: int
    cpu: float
    pod_seconds: float
    ended: float
    series: list[tuple[float, int, int]]

    @property
    def greatest_lag(self) -> int:
        return max(lag for _, lag, _ in self.series)


@dataclass(eq=False)
class _Pod:
    began: float
    clock: Clock
    partitions: list[int] = field(default_factory=list)
    has_joined: bool = False
    is_leaving: bool = False
    rows: int = 0  # of its last batch
    done: float = 0.0  # when that is written


class Simulation:
    """One day. `hour` tells the hour of a second; `every` so many seconds a point is noted."""

    def __init__(
        self,
        arrivals: Arrivals,
        policy: Policy,
        consumers: Consumers,
        hour: Callable[[float], float],
        every: float = 1.0,
    ) -> None:
        self.arrivals, self.consumers, self.hour, self.every = arrivals, consumers, hour, every
        self._cores = consumers.costs.limit - consumers.costs.rest
        self._most, self._turn = consumers.most_of_a_turn, consumers.turn
        self._events: list[tuple[float, int, Action]] = []
        self._numbers = count()
        self._taken = [0] * len(arrivals.until)
        self._departures: list[tuple[list[int], list[float]]] = [([], []) for _ in arrivals.until]
        self._pods: list[_Pod] = []
        self._batches, self._cpu, self._pod_seconds = 0, 0.0, 0.0
        self._series: list[tuple[float, int, int]] = []
        for _ in range(policy.pods):
            self._start(0.0, delay=0.0)
        if policy.rule:
            self._at(policy.rule.every, partial(self._decide, Autoscaler(policy.rule)))

    def run(self) -> Outcome:
        """Let the day pass, and after it the time until nothing waits."""
        self._at(self.every, self._note)
        now = 0.0
        while not self._is_over(now):
            now, _, action = heappop(self._events)
            action(now)
        for pod in self._pods:
            self._pay(pod, now)
        return Outcome(self._waits(), sum(self._taken), self._batches, self._cpu, self._pod_seconds, now, self._series)

    def _is_over(self, now: float) -> bool:
        return now >= self.arrivals.seconds and not self._lag(now)

    def _at(self, moment: float, action: Action) -> None:
        heappush(self._events, (moment, next(self._numbers), action))

    def _lag(self, now: float) -> int:
        """Return how many sales have come and are no rows yet."""
        place = self.arrivals.place(now)
        came = sum(until[place] for until in self.arrivals.until)
        return came - sum(self._taken) + sum(pod.rows for pod in self._pods if pod.done > now)

    def _note(self, now: float) -> None:
        self._series.append((now, self._lag(now), sum(not pod.is_leaving for pod in self._pods)))
        self._at(now + self.every, self._note)

    # Pods come and go.

    def _start(self, now: float, delay: float) -> None:
        pod = _Pod(now, Clock(self._cores))
        self._pods.append(pod)
        self._at(now + delay, lambda moment: self._join(moment, pod))

    def _join(self, now: float, pod: _Pod) -> None:
        """Give a new pod its share, unless it was ended meanwhile."""
        if not pod.is_leaving:
            pod.has_joined = True
            self._share()
            self._at(now, partial(self._take, pod=pod))  # after others that join at this moment

    def _end(self, now: float, pod: _Pod) -> None:
        """Let a pod finish its batch; its partitions have no owner for a while."""
        pod.is_leaving = True
        gone = max(now, pod.done)
        self._at(gone, lambda moment: self._gone(moment, pod))
        self._at(gone + self.consumers.leave, lambda _: self._share())

    def _gone(self, now: float, pod: _Pod) -> None:
        self._pods.remove(pod)
        self._pay(pod, now)

    def _pay(self, pod: _Pod, now: float) -> None:
        self._pod_seconds += now - pod.began
        self._cpu += self.consumers.costs.rest * (now - pod.began)

    def _share(self) -> None:
        """Share the partitions out evenly; as few as possible move."""
        members = [pod for pod in self._pods if pod.has_joined and not pod.is_leaving]
        if not members:
            return
        held = {partition for pod in members for partition in pod.partitions}
        for partition in range(len(self._taken)):
            if partition not in held and not self._is_leaving_with(partition):
                min(members, key=lambda pod: len(pod.partitions)).partitions.append(partition)
        while True:
            least, most = (choose(members, key=lambda pod: len(pod.partitions)) for choose in (min, max))
            if len(most.partitions) - len(least.partitions) <= 1:
                return
            least.partitions.append(most.partitions.pop())

    def _is_leaving_with(self, partition: int) -> bool:
        return any(pod.is_leaving and partition in pod.partitions for pod in self._pods)

    def _decide(self, autoscaler: Autoscaler, now: float) -> None:
        running = [pod for pod in self._pods if not pod.is_leaving]
        lag = float(self._lag(now))
        wanted = autoscaler.decide(now, lag=lag, hour=self.hour(now), pods=len(running))
        for _ in range(wanted - len(running)):
            self._start(now, self.consumers.start)
        for pod in running[wanted:]:
            self._end(now, pod)
        self._at(now + autoscaler.rule.every, partial(self._decide, autoscaler))

    # Pods work.

    def _take(self, now: float, pod: _Pod) -> None:
        """Take what waits, up to a batch, and come again when that is written."""
        if pod.is_leaving:
            return
        place = self.arrivals.place(now)
        shares = [(self.arrivals.until[one][place] - self._taken[one], one) for one in pod.partitions]
        rows = sum(waiting for waiting, _ in shares)
        if rows > self._most:
            rows, shares = self._most, evenly(self._most, shares)
        again = now + self._turn
        if rows:
            pod.rows, pod.done = rows, self._written(now, pod, rows)
            for taken, partition in shares:
                self._taken[partition] += taken
                offsets, moments = self._departures[partition]
                offsets.append(self._taken[partition])
                moments.append(pod.done)
            again = pod.done if rows == self._most else max(pod.done, again)
        self._at(again, lambda moment: self._take(moment, pod))

    def _written(self, now: float, pod: _Pod, rows: int) -> float:
        """Return when a batch is written."""
        costs, batches = self.consumers.costs, self.consumers.batches(rows)
        work = costs.work(batches, rows)
        self._batches += batches
        self._cpu += work
        return pod.clock.work(now, work) + costs.waits(batches, rows)

    def _waits(self) -> Floats:
        """Return the seconds from each of MOST_SAMPLES sales' arrival until it was a row."""
        every = max(1, self.arrivals.count // MOST_SAMPLES)
        waits = []
        for until, (offsets, moments) in zip(self.arrivals.until, self._departures, strict=True):
            numbers = np.arange(every // 2, until[-1], every)
            # A sale comes in the middle of its step.
            came = (np.searchsorted(until, numbers, side="right") - 0.5) * self.arrivals.step
            left = np.array(moments)[np.searchsorted(offsets, numbers, side="right")]
            waits.append(np.maximum(left - came, 0))
        return np.concatenate(waits)


def evenly(rows: int, waiting: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return how many of so many rows come from each partition, as the broker sends them in turns.

    `waiting`: rows and their partition, of which there are enough.
    """
    shares = []
    for place, (there, partition) in enumerate(sorted(waiting)):
        share = min(there, rows // (len(waiting) - place))
        shares.append((share, partition))
        rows -= share
    return shares
