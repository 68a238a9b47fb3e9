"""Watches from outside what becomes of what was accepted: rows, restocks, and what still waits.

Each watcher is a thread with a connection of its own, which also knows what it cost PostgreSQL.
"""

import threading
import time
from collections.abc import Callable
from itertools import islice
from typing import Final
from uuid import UUID

import psycopg

from bench.cpu import tree_seconds
from bench.openloop.load import Sent
from bench.openloop.orders import Kind
from ventas.events import VentaRegistrada

POLL_SECONDS: Final = 0.005  # the resolution
MOST_PENDING: Final = 500  # of a poll; the others wait for the next one

SALES: Final = "SELECT id FROM ventas_venta WHERE id = ANY(%s)"
NOTICES: Final = (
    "SELECT aviso_id FROM stock_aviso WHERE aviso_id = ANY(%s) GROUP BY 1 HAVING bool_and(estado <> 'abierto')"
)


class Arrivals(threading.Thread):
    """Measures the time from each 202 until a query finds what was accepted; from one in `every`.

    `waits` has the ms; `cpu` the seconds that the polls cost PostgreSQL.
    """

    def __init__(self, url: str, accepted: dict[tuple[UUID, UUID], float], kind: Kind, every: int = 1) -> None:
        super().__init__(daemon=True)
        self.connection = psycopg.connect(url, autocommit=True)
        self.accepted = accepted
        self.kind = kind
        self.every = every
        self.waits: list[float] = []
        self.pending: dict[UUID, float] = {}
        self.cpu = 0.0
        self._seen = 0
        self._done = threading.Event()

    @property
    def all_arrived(self) -> bool:
        """Return True if nothing that was accepted until now is missing."""
        return not self.pending and self._seen == len(self.accepted)

    def run(self) -> None:
        query, id_of = (SALES, VentaRegistrada.derive_id) if self.kind is Kind.SALE else (NOTICES, _own)
        while not self._done.wait(POLL_SECONDS):
            self._add_new(id_of)
            if asked := list(islice(self.pending, MOST_PENDING)):
                # Planned each time: a plan kept from an empty table would read all of a full one.
                found = self.connection.execute(query, [asked], prepare=False).fetchall()
                now = time.perf_counter()
                self.waits += [(now - self.pending.pop(id_)) * 1_000 for (id_,) in found]

    def _add_new(self, id_of: Callable[[UUID, UUID], UUID]) -> None:
        count = len(self.accepted)
        new = islice(self.accepted.copy().items(), self._seen, count)  # the load goes on meanwhile
        for number, (ids, moment) in enumerate(new, self._seen):
            if number % self.every == 0:
                self.pending[id_of(*ids)] = moment
        self._seen = count

    def stop(self) -> None:
        """End, and note the CPU time of this connection's server process."""
        self._done.set()
        self.join()
        self.cpu = tree_seconds(self.connection.info.backend_pid)
        self.connection.close()


def _own(_maestro: UUID, notice: UUID) -> UUID:
    return notice


def watching(url: str, sent: Sent, every: int = 1) -> tuple[Arrivals, Arrivals]:
    """Start watching a load's sales (one in `every`) and notices."""
    watchers = Arrivals(url, sent.sales, Kind.SALE, every), Arrivals(url, sent.accepted[Kind.NOTICE], Kind.NOTICE)
    for watcher in watchers:
        watcher.start()
    return watchers
