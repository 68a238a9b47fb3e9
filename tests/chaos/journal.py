"""The journal: what the clients of a chaos run asked, and the answers."""

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
    """One attempt; times are in seconds, `asked` since the run began; status 0 means no answer.

    `kind` is `inscripcion`, `venta`, `anulacion` or `aviso`; `ids` are the client's ids.
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
    """A file of all clients, one line of JSON per attempt; an interrupted run leaves its part."""

    def __init__(self, path: Path) -> None:
        self.began = time.monotonic()
        self.entries: list[Entry] = []
        self.recent: deque[Entry] = deque(maxlen=200)
        self.statuses: Counter[int] = Counter()
        self._lock = threading.Lock()
        self._file = path.open("w", buffering=1)

    def now(self) -> float:
        """Return the seconds since the run began."""
        return time.monotonic() - self.began

    def note(self, entry: Entry) -> None:
        """Write an attempt down."""
        with self._lock:
            self.entries.append(entry)
            self.recent.append(entry)
            self.statuses[entry.status] += 1
            self._file.write(json.dumps(asdict(entry)) + "\n")

    def sent(self, kind: str) -> set[str]:
        """Return the ids of this kind that were ever requested."""
        return {id_ for entry in self.entries if entry.kind == kind for id_ in entry.ids}

    def accepted(self, kind: str) -> set[str]:
        """Return the ids of this kind that were accepted at least once."""
        return {id_ for entry in self.entries if entry.kind == kind and entry.accepted for id_ in entry.ids}

    def close(self) -> None:
        """Close the file."""
        self._file.close()
