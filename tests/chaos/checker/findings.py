"""What the checker finds: which promise was broken, by which operations, and how that shows."""

from dataclasses import dataclass
from enum import StrEnum

from tests.chaos.checker.history import Operation


class Promise(StrEnum):
    """What the system promises, in the words of docs/reliability.md."""

    DURABLE = "durable"  # what was accepted takes effect
    ONCE = "once"  # no more than once
    ASKED = "asked"  # nothing else happens, and what happens is what was asked
    WEEK = "week"  # a maestro's week adds up
    MAIL = "mail"  # one e-mail per maestro and week, with these sums
    READS = "reads"  # what a maestro has seen stays seen
    STOCK = "stock"  # a cart holds what operations leave in it
    RESTOCK = "restock"  # a notice fills the cart, after the sales before it


@dataclass(frozen=True)
class Finding:
    """A broken promise."""

    promise: Promise
    text: str
    operations: tuple[Operation, ...] = ()
    evidence: str = ""

    def __str__(self) -> str:
        lines = [f"[{self.promise}] {self.text}", *(f"    {one}" for one in self.operations)]
        return "\n".join([*lines, *([f"    found: {self.evidence}"] if self.evidence else [])])
