"""A fault, before and after it is inflicted."""

import random
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from confluent_kafka.admin import AdminClient

from deploy.embedded.kafka import Broker
from deploy.embedded.waiting import wait_until
from mamochi_site.local.system import System
from tests.chaos.network.hub import Network

if TYPE_CHECKING:  # they make plans
    from tests.chaos.faults.clocks import Clocks
    from tests.chaos.faults.disks import Volumes
    from tests.chaos.faults.slow import SlowDisks

LEADER_S: Final = 30.0  # soon after a fault of the brokers an election may be under way


@dataclass
class Fault:
    """A fault that was inflicted; times are seconds since the run began."""

    name: str
    target: str
    began: float
    healed: float | None = None
    acknowledged_within: float | None = None

    @property
    def ends(self) -> float:
        """Return when everything that the fault touched answered again."""
        return self.healed or self.began

    @property
    def lasted(self) -> float:
        """Return how long that took."""
        return self.ends - self.began


@dataclass(frozen=True)
class Plan:
    """A fault to inflict.

    `inflict` names its target and heals when the block ends; `hold` is in seconds. With
    `acknowledged_within`, Kafka must acknowledge again so many seconds after the healing.
    """

    name: str
    inflict: Callable[[], AbstractContextManager[str]]
    hold: tuple[float, float] = (3.0, 7.0)
    acknowledged_within: float | None = None


@dataclass
class Context:
    """What the faults of a run share.

    `chance` comes from the seed. `killed` names the application's processes that a fault has ended
    and will start again; the run starts every other one that ends. `network` is None where all
    processes run on one host; `clocks`, `volumes` and `slow_disks` where they are the machine's.
    """

    system: System
    chance: random.Random
    network: Network | None = None
    clocks: "Clocks | None" = None
    volumes: "Volumes | None" = None
    slow_disks: "SlowDisks | None" = None
    killed: set[str] = field(default_factory=set)

    def leader_in(self, topic: str) -> Broker:
        """Return the leader of one of the topic's partitions."""
        kafka = self.system.stack.kafka
        admin = AdminClient({"bootstrap.servers": kafka.url, "log_level": 0})

        def leaders() -> set[int]:
            partitions = admin.list_topics(topic, timeout=LEADER_S).topics[topic].partitions
            return {partition.leader for partition in partitions.values()} & by_node.keys()

        by_node = {broker.node: broker for broker in kafka.brokers}
        return by_node[self.chance.choice(sorted(wait_until(leaders, LEADER_S, what=f"{topic} has leaders")))]
