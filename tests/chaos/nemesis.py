"""The nemesis: one fault after another, in an order from the seed, each healed before the next.

Besides the faults there are acts of an operator: partitions are added, topics are made again.
"""

import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from tests.chaos.faults import clocks, disks, mistakes, network, processes
from tests.chaos.faults.plan import Context, Fault, Plan
from tests.chaos.gate import Gate
from tests.chaos.topics import SOURCES, VENTAS, NotNow, TopicActs

KINDS: Final = {"processes": processes, "network": network, "clocks": clocks, "disks": disks, "mistakes": mistakes}
SHORT: Final = (0.0, 7.0)  # shorter than clients ask for the topics, or longer; the command comes on top
EARLY: Final = 5  # the acts on topics are among the first of a round, so that short runs have them too
LOOK_S: Final = 0.2
CALM_S: Final = (3.0, 6.0)  # seconds between two faults


class Nemesis(threading.Thread):
    """A thread that inflicts faults until the stop, then heals."""

    def __init__(self, context: Context, gate: Gate, stop: threading.Event, clock: Callable[[], float]) -> None:
        super().__init__(daemon=True)
        self.topics = TopicActs(context.system, gate, stop, clock)
        self.stop = stop
        self.clock = clock
        self.context = context
        self.kinds: Sequence[str] = [*KINDS]
        self.chance = context.chance
        self.faults: list[Fault] = []
        self.failure: Exception | None = None
        self.on_fault: Callable[[Fault], None] = lambda _: None
        self.acknowledged: Callable[[float], float | None] = lambda _: 0.0  # pulse.KafkaPulse.next_after

    def run(self) -> None:
        """Yield every plan once in random order, then again."""
        try:
            while not self.stop.is_set():
                for plan in self._round():
                    if self.stop.wait(self.chance.uniform(*CALM_S)):
                        return
                    self._carry_out(plan)
        except NotNow:  # the stop came while an act waited
            return
        except Exception as error:  # noqa: BLE001 - raised in the main thread
            self.failure = error

    def _round(self) -> list[Plan]:
        """Return every plan once, in random order."""
        plans = self.plans()
        order = self.chance.sample(plans, len(plans))
        for act in self.topic_acts():
            order.insert(self.chance.randint(1, EARLY), act)  # not first: the maestros do not sell yet
        return order

    def _carry_out(self, plan: Plan) -> None:
        fault = Fault(plan.name, "", self.clock(), acknowledged_within=plan.acknowledged_within)
        with plan.inflict() as fault.target:
            self.faults.append(fault)
            self.on_fault(fault)
            self.stop.wait(self.chance.uniform(*plan.hold))
        fault.healed = self.clock()
        if plan.acknowledged_within:
            self._see_recovery(fault.healed, plan.acknowledged_within)

    def _see_recovery(self, healed: float, limit: float) -> None:
        """Wait until Kafka acknowledges: the next cut would hide how this one heals."""
        while self.acknowledged(healed) is None and self.clock() < healed + limit:
            time.sleep(LOOK_S)  # between two looks

    def has_killed(self, name: str) -> bool:
        """Return True if this nemesis stopped the process."""
        return name in self.context.killed

    def plans(self) -> list[Plan]:
        """Return every fault for this system."""
        return [plan for kind in self.kinds for plan in KINDS[kind].plans(self.context)]

    def topic_acts(self) -> list[Plan]:
        """Return the acts on topics: the sales' topic is made again, and one of the others."""
        other = self.chance.choice([topic for topic in SOURCES if topic != VENTAS])
        return [
            Plan("partitions added", self.topics.more_partitions),
            *(
                Plan("topic made again", partial(self.topics.delete_and_make, topic), SHORT)
                for topic in (VENTAS, other)
            ),
        ]
