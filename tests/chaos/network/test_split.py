"""Split three brokers with a web and clients on each side; afterwards all of it is there once."""

import json
import random
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

from deploy.embedded import Stack
from deploy.embedded.waiting import wait_until
from mamochi_site.local.system import CHECKOUT, WEB, System, running_system, web_command, web_is_ready
from tests.chaos.checker.history import History, Wish
from tests.chaos.gate import Gate
from tests.chaos.journal import Journal
from tests.chaos.load import Crowd, Vendor, World
from tests.chaos.network import places, rules
from tests.chaos.network.hub import Network, why_not

pytestmark = [pytest.mark.chaos, pytest.mark.alone, pytest.mark.skipif(bool(why_not()), reason=why_not() or "it can")]
OTHER_WEB = "web-2"
BROKERS, CONSUMERS_EACH, VENDORS = 3, 1, 6
SPLIT_S, LIMIT_S = 15.0, 120.0
SETTINGS = {"REVISION_AUTOMATICA": "true", "LIMITE_INSCRIPCIONES": ""}
MINORITY = ("kafka-1", WEB)
MAJORITY = ("kafka-2", "kafka-3", OTHER_WEB, *places.members(CONSUMERS_EACH), places.BACKGROUND)
IN_OUTBOX = "SELECT value FROM kafka_bridge_outboxmessage WHERE topic = 'mamochi.ventas'"
LEDGER = "SELECT evento_id::text, count(*) FROM stock_movimiento WHERE tipo = 'venta' GROUP BY 1"
SALES = "SELECT id::text, venta_id::text FROM ventas_venta"


@dataclass
class Side:
    """A web with its clients, and what they asked and were answered."""

    url: str
    journal: Journal
    vendors: list[Vendor]

    def accepted_between(self, begin: float, end: float) -> set[str]:
        """Return the sales that were asked after `begin` and accepted before `end`."""
        entries = [entry for entry in self.journal.entries if entry.accepted and entry.kind == "venta"]
        inside = [entry for entry in entries if begin <= entry.asked and entry.asked + entry.took <= end]
        return {id_ for entry in inside for id_ in entry.ids}

    def slowest_between(self, begin: float, end: float) -> float:
        """Return the longest time that an answer took, in seconds."""
        return max(entry.took for entry in self.journal.entries if begin <= entry.asked <= end)


@dataclass
class Split:
    """The running system: `minority` has one broker, and `majority` two."""

    system: System
    network: Network
    minority: Side
    majority: Side

    def query(self, sql: str) -> list[Any]:
        """Return rows from the machine itself, which no rule cuts from the database."""
        with psycopg.connect(self.system.environment["DATABASE_URL"], autocommit=True) as connection:
            return connection.execute(sql).fetchall()

    def sides(self, database_with: Side) -> list[str]:
        """Return the rules of a split with the other servers on one of the sides."""
        minority, majority = [*MINORITY], [*MAJORITY]
        (minority if database_with is self.minority else majority).extend(places.SERVERS)
        hosts = self.network.hosts
        return rules.cut([hosts[name] for name in minority], [hosts[name] for name in majority])

    def in_outbox(self) -> set[str]:
        """Return the sales in the outbox."""
        return {json.loads(bytes(value))["venta_id"] for (value,) in self.query(IN_OUTBOX)}

    def accepted(self) -> set[str]:
        """Return every sale that a web has accepted."""
        return {id_ for id_, sale in self.sales().items() if sale.accepted}

    def sales(self) -> dict[str, Wish]:
        """Return every sale that a maestro wanted, by id."""
        return History([*self.minority.journal.entries, *self.majority.journal.entries]).sales

    def wait_until_served(self) -> None:
        """Wait until both webs accept sales."""
        for side in (self.minority, self.majority):
            since = side.journal.now()
            wait_until(partial(side.accepted_between, since, float("inf")), LIMIT_S)

    def assert_all_is_there_once(self) -> None:
        """Wait until every accepted sale has a row, and check that nothing counts twice."""
        wait_until(lambda: self.accepted() <= {sale for _, sale in self.query(SALES)}, LIMIT_S, interval=1.0)
        wait_until(lambda: not self.query("SELECT 1 FROM kafka_bridge_outboxmessage LIMIT 1"), LIMIT_S, interval=1.0)
        wait_until(lambda: {row for row, _ in self.query(SALES)} == dict(self.query(LEDGER)).keys(), LIMIT_S)
        sales = [sale for _, sale in self.query(SALES)]
        assert len(sales) == len(set(sales))
        assert set(dict(self.query(LEDGER)).values()) == {1}
        assert set(sales) <= self.sales().keys()
        assert self.query("SELECT * FROM kafka_bridge_deadletter") == []


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Split]:
    """Run the system with two webs; six maestros sell at each."""
    folder = tmp_path_factory.mktemp("split")
    names = [*places.all_places(BROKERS, CONSUMERS_EACH), OTHER_WEB]
    with Network(names, folder / "delay.log") as network:
        stack = Stack(folder / "stack", brokers=BROKERS, host_of=places.on(network.hosts), environ={})
        with running_system(stack, port=18_500, settings=SETTINGS, consumers=CONSUMERS_EACH) as system:
            stop = threading.Event()
            crowd = Crowd(random.Random(1))
            minority = side_of(system.url, system, crowd, stop)
            majority = side_of(start_other_web(system), system, crowd, stop)
            for vendor in (*minority.vendors, *majority.vendors):
                vendor.start()
            yield Split(system, network, minority, majority)
            stop.set()


def start_other_web(system: System) -> str:
    """Start the web of the majority and return its URL."""
    address, port = system.stack.host_of(OTHER_WEB).address, urlsplit(system.url).port or 0
    metrics = system.stack.folder / "metrics" / OTHER_WEB
    environment = system.environment | {"ALLOWED_HOSTS": address, "PROMETHEUS_MULTIPROC_DIR": str(metrics)}
    web = system.stack.run(OTHER_WEB, web_command(address, port), cwd=CHECKOUT, env=environment)
    web.wait_ready(lambda: web_is_ready(f"{address}:{port}"), LIMIT_S)
    return f"http://{address}:{port}"


def side_of(url: str, system: System, crowd: Crowd, stop: threading.Event) -> Side:
    chance = random.Random(url)  # not the same ids of sales on both sides
    journal = Journal(system.stack.folder / f"journal-{urlsplit(url).hostname}.jsonl")
    world = World(url, system.stack.mailbox, journal, Gate(), stop)
    return Side(url, journal, [Vendor(crowd.next(), world, chance.getrandbits(64)) for _ in range(VENDORS)])


def test_minority_with_the_database_accepts_into_the_outbox(split: Split) -> None:
    split.wait_until_served()
    with split.network.applied(split.sides(database_with=split.minority)):
        began = [side.journal.now() for side in (split.minority, split.majority)]
        time.sleep(SPLIT_S)  # the length of the split
        ended = [side.journal.now() for side in (split.minority, split.majority)]
        accepted = split.minority.accepted_between(began[0], ended[0])
        assert accepted
        assert accepted <= split.in_outbox()
        assert split.majority.accepted_between(began[1], ended[1]) == set()
        assert split.minority.slowest_between(began[0], ended[0]) < 10
        assert split.majority.slowest_between(began[1], ended[1]) < 10
    split.wait_until_served()
    split.assert_all_is_there_once()


def test_minority_without_the_database_accepts_nothing(split: Split) -> None:
    split.wait_until_served()
    with split.network.applied(split.sides(database_with=split.majority)):
        began = [side.journal.now() for side in (split.minority, split.majority)]
        time.sleep(SPLIT_S)  # the length of the split
        ended = [side.journal.now() for side in (split.minority, split.majority)]
        assert split.minority.accepted_between(began[0], ended[0]) == set()
        assert split.majority.accepted_between(began[1], ended[1])
        assert split.minority.slowest_between(began[0], ended[0]) < 10
        assert split.majority.slowest_between(began[1], ended[1]) < 10
    split.wait_until_served()
    split.assert_all_is_there_once()
