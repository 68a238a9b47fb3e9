"""Processes that are killed or frozen: brokers, the other servers, the application's own."""

import http.client
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from functools import partial
from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

import psycopg

from deploy.embedded.kafka import Broker
from deploy.embedded.postgres import Postgres
from deploy.embedded.server import Server
from deploy.embedded.waiting import wait_until
from mamochi_site.local.system import CONSUMERS
from tests.chaos.faults.plan import Context, Plan
from tests.chaos.pulse import PROBE

WEB: Final = "web"
KILLED_IN_BATCH: Final = "kill -9 PostgreSQL in a batch"
WEB_KILLED: Final = f"kill -9 {WEB}"
APPLICATIONS: Final = (WEB, "outbox-relay", "celery-worker", "celery-beat")
ZOMBIE: Final = (9.0, 12.0)  # seconds: longer than a consumer's session, so that others take its partitions over
READY_S: Final = 240.0
BATCH_S: Final = 10.0  # until a consumer writes sales, which the maestros make every second
# Readers of the table go on; who inserts rows waits in the middle of its transaction.
INSERTS_WAIT: Final = "LOCK TABLE ventas_venta IN SHARE ROW EXCLUSIVE MODE"
WAITING: Final = "SELECT count(*) FROM pg_locks WHERE relation = 'ventas_venta'::regclass AND NOT granted"


def plans(context: Context) -> list[Plan]:
    """Return every fault of a process."""
    return ProcessFaults(context).plans()


class ProcessFaults:
    """The faults of the processes of one system."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.system, self.chance, self.killed = context.system, context.chance, context.killed

    def plans(self) -> list[Plan]:
        """Return every fault, in a fixed order."""
        stack, kafka = self.system.stack, self.system.stack.kafka.brokers
        found = [
            Plan("kill -9 leader", lambda: killed(self._leader())),
            Plan("SIGSTOP leader", lambda: paused(self._leader()), ZOMBIE),
            Plan("kill -9 PostgreSQL", lambda: killed(stack.postgres)),
            Plan(KILLED_IN_BATCH, lambda: killed_in_batch(stack.postgres)),
            Plan("SIGSTOP PostgreSQL", lambda: paused(stack.postgres)),
            Plan("kill -9 SMTP", lambda: killed(stack.mail)),
            Plan("kill -9 Valkey", lambda: killed(stack.valkey)),
            Plan("SIGSTOP consumer", lambda: self._process_paused(self._consumer()), ZOMBIE),
            *(Plan(f"kill -9 {name}", partial(self._process_killed, name)) for name in APPLICATIONS),
            *(Plan("kill -9 consumer", partial(self._consumer_killed, name)) for name in CONSUMERS),
        ]
        if len(kafka) > 1:
            found += [
                Plan("kill -9 two brokers", lambda: killed(*self._two_brokers())),
                Plan("SIGSTOP two brokers", lambda: paused(*self._two_brokers()), ZOMBIE),
                Plan("kill -9 all brokers", lambda: killed(*kafka)),
                Plan("SIGSTOP all brokers", lambda: paused(*kafka), ZOMBIE),
            ]
        return found

    def _leader(self) -> Broker:
        return self.context.leader_in(PROBE.name)

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
        self.killed.add(name)
        self.system.stack.processes[name].kill()
        yield name
        self.system.stack.restart(name)
        self.killed.discard(name)
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
def killed_in_batch(server: Postgres) -> Iterator[str]:
    """Kill PostgreSQL while a consumer is in the middle of the transaction of a batch of sales."""
    with closing(psycopg.connect(server.url)) as connection:  # the lock must last until the kill
        connection.execute(INSERTS_WAIT)
        with suppress(TimeoutError):  # no maestro sells yet
            wait_until(lambda: connection.execute(WAITING).fetchone() != (0,), BATCH_S, what="a batch waits")
        with killed(server) as name:
            yield name


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
