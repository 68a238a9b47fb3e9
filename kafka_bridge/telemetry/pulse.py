"""When each loop of this process last finished a round; `probe` answers /health from it."""

import time
from collections.abc import Sequence
from typing import Final

from kafka_bridge.telemetry import metrics


class Pulse:
    """When a loop last finished a round, and whether it can do its work.

    A loop that waits out an outage still beats, with `working` False.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.at = time.monotonic()
        self.working = False
        self.hindrances: list[str] = []  # why it cannot do its work, in English, without personal data
        pulses[name] = self

    def beat(self, *, working: bool, hindrances: Sequence[str] = ()) -> None:
        """Note that the loop has finished a round."""
        self.at, self.working, self.hindrances = time.monotonic(), working, list(hindrances)
        metrics.LAST_STEP.labels(self.name).set_to_current_time()

    @property
    def age(self) -> float:
        """Seconds since the loop last finished a round."""
        return time.monotonic() - self.at

    def end(self) -> None:
        """Remove the pulse: the loop ends on purpose and does not hang."""
        pulses.pop(self.name, None)


pulses: Final[dict[str, Pulse]] = {}  # of this process's loops, by name
