"""TODO."""

import time
from typing import Final

from kafka_bridge.telemetry import metrics


class Pulse:
    """When a loop last came round, and whether it can work. A loop that waits out an outage still beats."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.at = time.monotonic()
        self.working = False
        pulses[name] = self

    def beat(self, *, working: bool) -> None:
        self.at, self.working = time.monotonic(), working
        metrics.LAST_STEP.labels(self.name).set_to_current_time()

    @property
    def age(self) -> float:
        """Seconds since it last came round."""
        return time.monotonic() - self.at

    def end(self) -> None:
        """It stops on purpose: no hang."""
        pulses.pop(self.name, None)


pulses: Final[dict[str, Pulse]] = {}  # of this process's loops, by name
