"""Links that are cut, lose or delay packets, in one direction or both, between hosts."""

import random
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Final

from deploy.embedded.hosts import Host
from mamochi_site.local.system import WEB
from tests.chaos.faults.plan import Context, Plan
from tests.chaos.network import rules
from tests.chaos.network.hub import Network
from tests.chaos.network.places import BACKGROUND, POSTGRES, SMTP, VALKEY

LONG: Final = (8.0, 12.0)  # seconds: longer than the sessions of brokers and consumers
ACKNOWLEDGED_S: Final = 20.0  # seconds after the healing
LOST_PERCENT: Final = 30
FLAPS_S: Final = (0.5, 2.0)
# Who loses only one server, and which. A broker stands for all of them.
BROKERS: Final = "brokers"
SALES: Final = "mamochi.ventas"
LINKS: Final = ((WEB, BROKERS), (WEB, POSTGRES), (BACKGROUND, BROKERS))
SILENT_LINKS: Final = ((BACKGROUND, VALKEY), (BACKGROUND, SMTP), (WEB, VALKEY), (BACKGROUND, POSTGRES))

Cut = Callable[[], AbstractContextManager[str]]


def plans(context: Context) -> list[Plan]:
    """Return every fault of the network; none where all processes share one host."""
    return NetworkFaults(context, context.network).plans() if context.network else []


class NetworkFaults:
    """The faults of the links between the hosts of one network."""

    def __init__(self, context: Context, network: Network) -> None:
        self.context, self.network, self.chance = context, network, context.chance
        self.brokers = [name for name in network.hosts if name.startswith("kafka-")]
        self.others = [name for name in network.hosts if name not in self.brokers]
        self.consumers = [name for name in network.hosts if name.startswith("consumers-")]

    def plans(self) -> list[Plan]:
        """Return every fault, in a fixed order."""
        found = [
            _plan("broker cut from clients", self._from_clients),
            _plan("packets lost", self._some_lost),
            _plan("broker delayed", self._delayed_broker),
            _plan("PostgreSQL delayed", partial(self._delayed, POSTGRES)),
            _plan("broker flaps", self._flapping),
            _plan("silent link", lambda: self._link(*self.chance.choice(SILENT_LINKS))),
            _plan("consumers lose Kafka", lambda: self._link(self.chance.choice(self.consumers), BROKERS)),
            _plan("consumers lose PostgreSQL", lambda: self._link(self.chance.choice(self.consumers), POSTGRES)),
            _plan("name server silent", self._names_silent),
            _plan("name server down", self._names_down),
            *(_plan(f"{one} loses {other}", partial(self._link, one, other)) for one, other in LINKS),
        ]
        if len(self.brokers) > 1:
            found += [
                _plan("broker cut from brokers", self._from_brokers),
                _plan("one-way loss of a broker", self._one_way),
                _plan("halves", self._halves),
            ]
        return found

    def _hosts(self, names: Collection[str]) -> list[Host]:
        return [self.network.hosts[name] for name in names]

    def _broker(self) -> str:
        """Return a broker that leads a partition of sales: a cut of any other costs little."""
        return self.context.leader_in(SALES).process_name

    @contextmanager
    def _cut(self, some: Sequence[str], others: Sequence[str], target: str = "") -> Iterator[str]:
        with self.network.applied(rules.cut(self._hosts(some), self._hosts(others))):
            yield target or f"{', '.join(some)} | {', '.join(others)}"

    def _from_brokers(self) -> AbstractContextManager[str]:
        broker = self._broker()
        return self._cut([broker], [other for other in self.brokers if other != broker])

    @contextmanager
    def _from_clients(self) -> Iterator[str]:
        """Cut a broker from all but the brokers: they keep it as the leader of its partitions."""
        broker = self._broker()
        clients = [*self._hosts(self.others), self.network.runner]
        with self.network.applied(rules.cut(self._hosts([broker]), clients)):
            yield broker

    def _halves(self) -> AbstractContextManager[str]:
        """Cut one broker with some of the other hosts from the rest; the clients reach both."""
        broker = self._broker()
        minority = [broker, *(name for name in self.others if self.chance.random() < 0.4)]
        rest = [name for name in self.network.hosts if name not in minority]
        return self._cut(minority, rest, target=f"{', '.join(minority)} | the rest")

    @contextmanager
    def _one_way(self) -> Iterator[str]:
        """Let a broker hear the other brokers without being heard, or the other way round."""
        broker = self._broker()
        ways = [broker], [other for other in self.brokers if other != broker]
        sources, targets = ways if self.chance.random() < 0.5 else ways[::-1]
        with self.network.applied([rules.lose(self._hosts(sources), self._hosts(targets))]):
            yield f"{', '.join(sources)} -> {', '.join(targets)}"

    @contextmanager
    def _some_lost(self) -> Iterator[str]:
        """Lose packets between all hosts, but not those of the clients, who count the seconds."""
        with self.network.applied(rules.lose_some([*self.network.hosts.values()], LOST_PERCENT)):
            yield f"{LOST_PERCENT} % between all hosts"

    def _delayed_broker(self) -> AbstractContextManager[str]:
        return self._delayed(self._broker())

    @contextmanager
    def _delayed(self, name: str) -> Iterator[str]:
        with self.network.applied(rules.delay(self._hosts([name]))):
            yield name

    def _link(self, one: str, other: str) -> AbstractContextManager[str]:
        return self._cut([one], self.brokers if other == BROKERS else [other])

    @contextmanager
    def _names_silent(self) -> Iterator[str]:
        with self.network.applied(rules.no_names()):
            yield "all hosts"

    @contextmanager
    def _names_down(self) -> Iterator[str]:
        with self.network.without_names():
            yield "all hosts"

    @contextmanager
    def _flapping(self) -> Iterator[str]:
        """Cut a broker from everything again and again, for moments."""
        broker = self._broker()
        everything = [*self._hosts([name for name in self.network.hosts if name != broker]), self.network.runner]
        flaps = Flaps(self.network, rules.cut(self._hosts([broker]), everything), self.chance.getrandbits(64))
        flaps.start()
        try:
            yield broker
        finally:
            flaps.end()


class Flaps(threading.Thread):
    """A thread that applies rules and takes them back, for moments of different length."""

    def __init__(self, network: Network, cut: Sequence[str], seed: int) -> None:
        super().__init__(daemon=True)
        self.network, self.cut = network, cut
        self.chance = random.Random(seed)
        self.stop = threading.Event()

    def run(self) -> None:
        """Work until the end."""
        while not self.stop.is_set():
            with self.network.applied(self.cut):
                self.stop.wait(self.chance.uniform(*FLAPS_S))
            self.stop.wait(self.chance.uniform(*FLAPS_S))

    def end(self) -> None:
        """Take the rules back for good."""
        self.stop.set()
        self.join()


def _plan(name: str, inflict: Cut) -> Plan:
    return Plan(name, inflict, LONG, acknowledged_within=ACKNOWLEDGED_S)
