"""What the apps owe by their rows: mails to send, a week to close. What is late or was given up is everyone's problem.

Each app registers in its `duties.py` a function that looks with one query:

    @duty
    def correos(now: datetime) -> Duty:
        ...
"""

from collections.abc import Callable
from datetime import datetime
from typing import Final

import msgspec


class Duty(msgspec.Struct, frozen=True, kw_only=True):
    """`overdue_s`: for how long the oldest has been due, 0 where nothing is. `failed`: how many a person must look at.

    The sentences are Spanish: `late` goes on with "hace 3 min", `failure` comes after a number. `work` is a metric's label.
    """

    work: str
    overdue_s: float
    patience_s: float
    late: str
    late_do: str
    failed: int = 0
    failure: str = ""
    failure_do: str = ""


Watcher = Callable[[datetime], Duty]
watchers: Final[list[Watcher]] = []


def duty(function: Watcher) -> Watcher:
    """Registers the function below it."""
    watchers.append(function)
    return function


def all_of(now: datetime) -> list[Duty]:
    """One query each. Raises django.db errors."""
    return [watcher(now) for watcher in watchers]


def overdue(since: datetime | None, now: datetime) -> float:
    """Seconds, 0 where nothing is due."""
    return max(0.0, (now - since).total_seconds()) if since else 0.0
