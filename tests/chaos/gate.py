"""The gate: the nemesis holds requests of some kinds back while a topic must stay as it is."""

import threading
import time
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Final

STOP_LOOKED_AT_S: Final = 0.5


class Gate:
    """Every request of the load passes here. Those of a held kind wait in front of it."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._held: frozenset[str] = frozenset()
        self._under_way: Counter[str] = Counter()

    @contextmanager
    def passing(self, kind: str, stop: threading.Event) -> Iterator[float]:
        """Wait until the kind is not held, or `stop` is set; yield how many seconds that took."""
        began = time.monotonic()
        with self._changed:
            while kind in self._held and not stop.is_set():
                self._changed.wait(STOP_LOOKED_AT_S)
            self._under_way[kind] += 1
        try:
            yield time.monotonic() - began
        finally:
            with self._changed:
                self._under_way[kind] -= 1
                self._changed.notify_all()

    @contextmanager
    def holding(self, kinds: Collection[str]) -> Iterator[None]:
        """Hold these kinds until the block ends; in the block, none of them is under way."""
        with self._changed:
            self._held = frozenset(kinds)
            self._changed.wait_for(lambda: not any(self._under_way[kind] for kind in kinds))
        try:
            yield
        finally:
            with self._changed:
                self._held = frozenset()
                self._changed.notify_all()
