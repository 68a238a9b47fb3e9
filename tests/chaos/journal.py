"""The journal: what the clients of a chaos run asked, and the answers (checker/history.py)."""

import threading
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

from tests.chaos.checker.history import READS, Operation, to_line


class Journal:
    """A file of all clients, one line of JSON per attempt; an interrupted run leaves its part.

    In memory are the attempts without what reads were shown: `entries` those that want something
    done, `reads` the others.
    """

    def __init__(self, path: Path) -> None:
        self.began = time.monotonic()
        self.entries: list[Operation] = []
        self.reads: list[Operation] = []
        self.statuses: Counter[int] = Counter()
        self._lock = threading.Lock()
        self._file = path.open("w", buffering=1)

    def now(self) -> float:
        """Return the seconds since the run began."""
        return time.monotonic() - self.began

    def note(self, operation: Operation) -> None:
        """Write an attempt down."""
        with self._lock:
            self._file.write(to_line(operation))
            if operation.kind in READS:
                self.reads.append(replace(operation, answer=None))
                return
            self.entries.append(operation)
            self.statuses[operation.status] += 1

    def close(self) -> None:
        """Close the file."""
        self._file.close()
