"""Due work: what the apps must do at a certain time, such as e-mails to send.

Each app registers in its `monitoring.py` one function per kind of work. The function runs one query
and reports for how long the oldest item has been due, and how many items were given up. The
overview shows late work as a problem, and Prometheus gets both figures.

    @due_work
    def invoices(now: datetime) -> DueWork:
        since = Invoice.objects.filter(sent_at=None).aggregate(since=Min("due_at"))["since"]
        return DueWork(
            work="invoices",
            overdue_s=overdue(since, now),
            tolerance_s=300,
            late="Invoices should have left",
            late_advice="Check that the worker runs.",
        )
"""

from collections.abc import Callable
from datetime import datetime
from typing import Final

import msgspec

from kafka_bridge.monitoring.registry import Registry


class DueWork(msgspec.Struct, frozen=True, kw_only=True):
    """The state of one kind of work.

    `work`: its name, a label of metrics.
    `overdue_s`: for how long the oldest item has been due, in seconds; 0 if none is.
    `tolerance_s`: work that is overdue for longer is a problem.
    `late`: the beginning of the problem's sentence, which continues with "3 min ago".
    `failed`: how many items a person must look at. `failure`: the sentence after that number.
    `late_advice`, `failure_advice`: what to do about it.
    """

    work: str
    overdue_s: float
    tolerance_s: float
    late: str
    late_advice: str
    failed: int = 0
    failure: str = ""
    failure_advice: str = ""


Source = Callable[[datetime], DueWork]
sources: Final[Registry[Source]] = Registry()
due_work: Final = sources.register


def all_of(now: datetime) -> list[DueWork]:
    """Return the state of each kind of work, with one query each. Raises django.db errors."""
    return [source(now) for source in sources.all()]


def overdue(since: datetime | None, now: datetime) -> float:
    """Return the seconds from `since` to `now`; 0 if nothing is due yet."""
    return max(0.0, (now - since).total_seconds()) if since else 0.0
