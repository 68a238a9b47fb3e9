"""What a fault costs: the times until the signs of life come back."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from statistics import median


@dataclass(frozen=True)
class Recovery:
    """The cost of a fault: seconds until the next sign of life of each kind, or None.

    They count from the beginning of the fault, and those of `healed` from its end.
    """

    fault: str
    target: str
    lasted: float
    kafka: float | None
    api: float | None
    rows: float | None
    healed: dict[str, float | None]


def spread(values: Sequence[float]) -> str:
    """Return the median, the 90th percentile (a value that was measured) and the greatest."""
    if not values:
        return "never"
    ninetieth = sorted(values)[ceil(0.9 * len(values)) - 1]
    return f"{median(values):.1f} / {ninetieth:.1f} / {max(values):.1f}"
