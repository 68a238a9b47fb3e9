"""Clocks that are wrong: minutes ahead or behind, or jumping. Needs a C compiler.

A library of 100 lines stands between a process and the kernel (`wall_clock.c`), and reads the
difference from a file, so that the clock of a process that runs is moved by writing that file. Only
the wall clock moves: the monotonic clock is the kernel's, as on a machine whose time is set. With
libfaketime, which tests/mamochi_site/background/test_beat.py uses, Kafka's client hangs.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

from tests.chaos.faults.plan import Context, Plan
from tests.chaos.faults.preload import COMPILER, Numbers

MINUTES: Final = (2, 12)
# What is due by PostgreSQL's clock waits for as long as that was ahead, besides the three minutes
# of a claim, and the run waits seven.
DATABASE_S: Final = (60, 180)
JUMP_S: Final = 3.0  # how long a clock that jumps stays on the other side


class Clocks:
    """The clock of each process of a stack, by the process's name.

    `now` is the right time of the stack's world, in seconds ahead of ours.
    """

    def __init__(self, folder: Path, now: float = 0.0) -> None:
        self.now = now
        self.wrong: dict[str, float] = {}
        self.numbers = Numbers(folder, "wall_clock.c", "WALL_CLOCK")

    def variables(self, name: str) -> dict[str, str]:
        """Return the variables of the process, for `Stack(own=...)`; none without a compiler."""
        if not COMPILER:
            return {}
        self.move(name, self.wrong.get(name, 0.0))
        return self.numbers.variables(name)

    def move(self, name: str, seconds: float) -> None:
        """Let the process's clock be so many seconds ahead, or behind if negative; 0 is right."""
        self.wrong[name] = seconds
        self.numbers.write(name, self.now + seconds)

    def travel(self, now: float) -> None:
        """Let it be another time in the stack's world."""
        self.now = now
        for name, seconds in self.wrong.items():
            self.move(name, seconds)


def plans(context: Context) -> list[Plan]:
    """Return the faults of clocks; none if the processes have the machine's."""
    system, chance, clocks = context.system, context.chance, context.clocks
    if clocks is None:
        return []
    consumers = sorted(name for name in system.applications if name.startswith("consumer-"))
    brokers = [broker.process_name for broker in system.stack.kafka.brokers]
    kinds = {"web": ["web"], "consumer": consumers, "worker": ["celery-worker"], "Beat": ["celery-beat"]}
    everyone = [*brokers, *(name for names in kinds.values() for name in names)]

    def minutes() -> int:
        return chance.choice([-1, 1]) * chance.randint(*MINUTES) * 60

    def of_database() -> int:
        return chance.choice([-1, 1]) * chance.randint(*DATABASE_S)

    return [
        *(
            Plan(f"clock of {kind}", partial(moved, clocks, partial(chance.choice, names), minutes))
            for kind, names in {**kinds, "a broker": brokers}.items()
        ),
        Plan("clock jumps", partial(jumping, clocks, partial(chance.choice, everyone), minutes)),
        Plan("clock of PostgreSQL", partial(moved, clocks, lambda: "postgres", of_database)),
    ]


@contextmanager
def moved(clocks: Clocks, choose: Callable[[], str], seconds: Callable[[], int]) -> Iterator[str]:
    """Let the clock of a process be ahead, or behind if negative; then set it right."""
    name, ahead = choose(), seconds()
    clocks.move(name, ahead)
    yield f"{name} {ahead:+d} s"
    clocks.move(name, 0)


@contextmanager
def jumping(clocks: Clocks, choose: Callable[[], str], seconds: Callable[[], int]) -> Iterator[str]:
    """As `moved`, but the clock jumps to the other side before it is set right."""
    name, ahead = choose(), seconds()
    clocks.move(name, ahead)
    yield f"{name} {ahead:+d} s, {-ahead:+d} s"
    clocks.move(name, -ahead)
    time.sleep(JUMP_S)
    clocks.move(name, 0)
