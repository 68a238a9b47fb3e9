"""A process of contabilidad, and how far it has come."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Final

from django.db import connection

from bench.mensajes.factors import Setting
from deploy.embedded.waiting import wait_until
from mamochi_site.local.system import CHECKOUT
from ventas.events import VENTAS
from ventas.libro import CONTABILIDAD

PROGRAM: Final = Path(__file__).with_name("consumer.py")  # this package needs Django, which it sets up
LAST_WORDS: Final = 1_000  # bytes of a log
JOIN_SECONDS: Final = 60.0
POLL_SECONDS: Final = 0.005  # the resolution of moments
APPLIED: Final = (
    "SELECT coalesce(sum(next_offset), 0) FROM kafka_bridge_consumeroffset WHERE consumer = %s AND topic = %s"
)


class Member:
    """A process of the consumer, which has loaded and waits for `go`."""

    def __init__(self, setting: Setting, log: IO[bytes]) -> None:
        self.log = log
        self.process = subprocess.Popen(
            [sys.executable, str(PROGRAM), str(setting.batch)],
            cwd=CHECKOUT,
            env=os.environ | {"PYTHONPATH": str(CHECKOUT)},
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
        )

    @property
    def pids(self) -> dict[str, int]:
        return {CONTABILIDAD: self.process.pid}

    def go(self) -> None:
        """Let the process join; return once the first rows are there.

        Raises RuntimeError if the process has ended.
        """
        if self.process.stdin:
            with suppress(BrokenPipeError):  # the process has ended: `_has_applied` tells why
                self.process.stdin.write(b"go\n")
                self.process.stdin.close()
        wait_until(self._has_applied, JOIN_SECONDS, what="the first rows", interval=POLL_SECONDS)

    def _has_applied(self) -> bool:
        if self.process.poll() is not None:
            self.log.seek(0)
            raise RuntimeError(f"the consumer has ended: {self.log.read()[-LAST_WORDS:].decode(errors='replace')}")
        return applied() > 0


@contextmanager
def member(setting: Setting) -> Iterator[Member]:
    """Load the process; it ends with the block, as an operator ends it."""
    with tempfile.TemporaryFile() as log:
        one = Member(setting, log)
        try:
            yield one
        finally:
            one.process.terminate()
            one.process.wait(60)


def applied() -> int:
    """Return how many messages the consumer has applied."""
    with connection.cursor() as cursor:
        cursor.execute(APPLIED, [CONTABILIDAD, VENTAS.name])
        return int(cursor.fetchone()[0])


def wait_until_applied(count: int, seconds: float) -> float:
    """Return the moment (perf_counter) when so many messages were applied. Raises TimeoutError."""
    wait_until(lambda: applied() >= count, seconds, what=f"{count:,} messages are applied", interval=POLL_SECONDS)
    return time.perf_counter()
