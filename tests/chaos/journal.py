"""What the clients of a chaos run asked and were answered: what the audit compares the system with."""

import json
import threading
import time
from collections import Counter, deque
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

ACCEPTED: Final = 202
NO_ANSWER: Final = 0


@dataclass(frozen=True)
class Entry:
    """One attempt. `asked` is seconds since the run began, `took` seconds; `status` 0: no whole answer came.

    `kind` is what was asked for (`inscripcion`, `venta`, `anulacion`, `aviso`), `ids` the client's ids of it.
    """

    asked: float
    took: float
    kind: str
    ids: tuple[str, ...]
    status: int

    @property
    def accepted(self) -> bool:
        return self.status == ACCEPTED


class Journal:
    """Written by all clients, one line of JSON an attempt; a run that is cut off leaves what it had."""

    def __init__(self, path: Path) -> None:
        self.began = time.monotonic()
        self.entries: list[Entry] = []
        self.recent: deque[Entry] = deque(maxlen=200)
        self.statuses: Counter[int] = Counter()
        self._lock = threading.Lock()
        self._file = path.open("w", buffering=1)

    def now(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self.began

    def note(self, entry: Entry) -> None:
        """Keeps an attempt."""
        with self._lock:
            self.entries.append(entry)
            self.recent.append(entry)
            self.statuses[entry.status] += 1
            self._file.write(json.dumps(asdict(entry)) + "\n")

    def sent(self, kind: str) -> set[str]:
        """The ids of everything of that kind that was ever asked for."""
        return {id_ for entry in self.entries if entry.kind == kind for id_ in entry.ids}

    def accepted(self, kind: str) -> set[str]:
        """The ids of everything of that kind that was accepted at least once."""
        return {id_ for entry in self.entries if entry.kind == kind and entry.accepted for id_ in entry.ids}

    def close(self) -> None:
        """Closes the file."""
        self._file.close()
