"""The nemesis: one fault after another, in an order from the seed, each healed before the next.

Besides the faults there are acts of an operator: partitions are added, topics are made again.
"""

import http.client
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

from confluent_kafka.admin import AdminClient

from deploy.embedded.kafka import Broker
from deploy.embedded.server import Server
from mamochi_site.local.system import CONSUMERS, System
from tests.chaos.gate import Gate
from tests.chaos.pulse import PROBE
from tests.chaos.topics import SOURCES, VENTAS, NotNow, TopicActs

WEB: Final = "web"
WEB_KILLED: Final = f"kill -9 {WEB}"
SHORT: Final = (0.0, 7.0)  # shorter than clients ask for the topics, or longer; the command comes on top
EARLY: Final = 5  # the acts on topics are among the first of a round, so that short runs have them too
CALM_S: Final = (3.0, 6.0)  # seconds between two faults
READY_S: Final = 240.0


@dataclass
class Fault:
    """A fault that was inflicted; times are seconds since the run began."""

    name: str
    target: str
    began: float
    healed: float | None = None

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

    `inflict` names its target and heals when the block ends; `hold` is in seconds.
    """

    name: str
    inflict: Callable[[], AbstractContextManager[str]]
    hold: tuple[float, float] = (3.0, 7.0)


class Nemesis(threading.Thread):
    """A thread that inflicts faults until the stop, then heals."""

    def __init__(
        self, system: System, gate: Gate, stop: threading.Event, clock: Callable[[], float], seed: int
    ) -> None:
        super().__init__(daemon=True)
        self.system = system
        self.topics = TopicActs(system, gate, stop, clock)
        self.stop = stop
        self.clock = clock
        self.chance = random.Random(seed)
        self.faults: list[Fault] = []
        self.failure: Exception | None = None
        self.on_fault: Callable[[Fault], None] = lambda _: None
        self._killed: set[str] = set()

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
        fault = Fault(plan.name, "", self.clock())
        with plan.inflict() as fault.target:
            self.faults.append(fault)
            self.on_fault(fault)
            self.stop.wait(self.chance.uniform(*plan.hold))
        fault.healed = self.clock()

    def has_killed(self, name: str) -> bool:
        """Return True if this nemesis stopped the process."""
        return name in self._killed

    def plans(self) -> list[Plan]:
        """Return every fault for this system."""
        stack, kafka = self.system.stack, self.system.stack.kafka.brokers
        zombie = (9.0, 12.0)  # longer than a consumer's session, so that others take its partitions over
        plans = [
            Plan("kill -9 leader", lambda: killed(self._leader())),
            Plan("SIGSTOP leader", lambda: paused(self._leader()), zombie),
            Plan("kill -9 PostgreSQL", lambda: killed(stack.postgres)),
            Plan("SIGSTOP PostgreSQL", lambda: paused(stack.postgres)),
            Plan("kill -9 SMTP", lambda: killed(stack.mail)),
            Plan("kill -9 Valkey", lambda: killed(stack.valkey)),
            Plan("SIGSTOP consumer", lambda: self._process_paused(self._consumer()), zombie),
            *(Plan(f"kill -9 {name}", partial(self._process_killed, name)) for name in APPLICATIONS),
            *(Plan("kill -9 consumer", partial(self._consumer_killed, name)) for name in CONSUMERS),
        ]
        if len(kafka) > 1:
            plans += [
                Plan("kill -9 two brokers", lambda: killed(*self._two_brokers())),
                Plan("SIGSTOP two brokers", lambda: paused(*self._two_brokers()), zombie),
                Plan("kill -9 all brokers", lambda: killed(*kafka)),
                Plan("SIGSTOP all brokers", lambda: paused(*kafka), zombie),
            ]
        return plans

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

    def _leader(self) -> Broker:
        """Return the leader of one of the probe's partitions."""
        admin = AdminClient({"bootstrap.servers": self.system.stack.kafka.url, "log_level": 0})
        partitions = admin.list_topics(PROBE.name, timeout=10).topics[PROBE.name].partitions
        node = partitions[self.chance.randrange(len(partitions))].leader
        return next(broker for broker in self.system.stack.kafka.brokers if broker.node == node)

    def _two_brokers(self) -> list[Broker]:
        return self.chance.sample(self.system.stack.kafka.brokers, 2)

    def _consumer(self, name: str = "") -> str:
        running = [process for process in self.system.applications if process.startswith(f"consumer-{name}")]
        return self.chance.choice(sorted(running))

    def _consumer_killed(self, name: str) -> AbstractContextManager[str]:
        return self._process_killed(self._consumer(name))

    @contextmanager
    def _process_killed(self, name: str) -> Iterator[str]:
        """Kill a process as the kernel does when memory ends; the platform starts it again."""
        self._killed.add(name)
        self.system.stack.processes[name].kill()
        yield name
        self.system.stack.restart(name)
        self._killed.discard(name)
        if name == WEB:
            self.system.applications[WEB].wait_ready(self._web_answers, READY_S)

    def _web_answers(self) -> bool:
        """Return True if a worker of the web answers; until then requests wait for a free one."""
        web = http.client.HTTPConnection(urlsplit(self.system.url).netloc, timeout=2)
        try:
            web.request("GET", "/health/live")
            return web.getresponse().status == HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            web.close()

    @contextmanager
    def _process_paused(self, name: str) -> Iterator[str]:
        """Freeze a consumer until another member owns its partitions, then let it continue."""
        self.system.stack.processes[name].pause()
        yield name
        self.system.stack.processes[name].resume()


APPLICATIONS: Final = (WEB, "outbox-relay", "celery-worker", "celery-beat")


@contextmanager
def killed(*servers: Server) -> Iterator[str]:
    """Kill the server with -9; start it again on the same port and data."""
    for server in servers:
        server.kill()
    yield _names(servers)
    for server in servers:
        server.restart(wait=False)
    _await(servers)


@contextmanager
def paused(*servers: Server) -> Iterator[str]:
    """Freeze the process with SIGSTOP: connections stay open and nothing answers."""
    for server in servers:
        server.pause()
    yield _names(servers)
    for server in servers:
        server.resume()
    _await(servers)


def _await(servers: tuple[Server, ...]) -> None:
    """Wait for a quorum that lost its majority: the election takes longer on a busy machine."""
    for server in servers:
        server.process.wait_ready(server.ready, READY_S)


def _names(servers: tuple[Server, ...]) -> str:
    return ", ".join(server.process_name for server in servers)
