"""When sales became rows: contabilidad's offsets in the database, which move with the rows."""

import threading
import time
from typing import Final

import numpy as np
import psycopg

from bench.cpu import tree_seconds
from bench.demanda.day import Floats
from bench.demanda.policy import PARTITIONS
from bench.demanda.publish import Accepted
from ventas.events import VENTAS
from ventas.libro import CONTABILIDAD

POLL_SECONDS: Final = 0.01  # the resolution
OFFSETS: Final = "SELECT partition, next_offset FROM kafka_bridge_consumeroffset WHERE consumer = %s AND topic = %s"


class Progress(threading.Thread):
    """Notes whenever a partition has come further; `cpu` is what that cost PostgreSQL."""

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self.connection = psycopg.connect(url, autocommit=True)
        self.applied = 0
        self.cpu = 0.0
        self._moments: list[list[float]] = [[] for _ in range(PARTITIONS)]
        self._offsets: list[list[int]] = [[] for _ in range(PARTITIONS)]
        self._done = threading.Event()

    def run(self) -> None:
        while not self._done.wait(POLL_SECONDS):
            rows = self.connection.execute(OFFSETS, [CONTABILIDAD, VENTAS.name]).fetchall()
            now = time.perf_counter()
            for partition, offset in rows:
                if not self._offsets[partition] or self._offsets[partition][-1] != offset:
                    # In this order: another thread reads both.
                    self._moments[partition].append(now)
                    self._offsets[partition].append(offset)
            self.applied = sum(offset for _, offset in rows)

    def waits(self, accepted: Accepted, first: list[int]) -> tuple[Floats, Floats]:
        """Return the moment of each acknowledgement, and the seconds from it to the row.

        `first`: the offset by partition from which on sales count. All must be rows.
        """
        begun, waited = [], []
        for partition, offset in enumerate(first):
            moments = np.array(accepted.moments[partition][offset:])
            numbers = np.arange(offset, offset + len(moments))
            places = np.searchsorted(self._offsets[partition], numbers, side="right")
            begun.append(moments)
            waited.append(np.array(self._moments[partition])[places] - moments)
        return np.concatenate(begun), np.concatenate(waited)

    def stop(self) -> None:
        """End, and note the CPU time of this connection's server process."""
        self._done.set()
        self.join()
        self.cpu = tree_seconds(self.connection.info.backend_pid)
        self.connection.close()
