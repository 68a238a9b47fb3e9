"""What the admin's home and a maestro's page are made of: work that waits, and panels.

Each app says in its `admin/desk.py` what it adds for a user, by the user's permissions.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.template.loader import render_to_string
from django.utils.safestring import SafeString

from gremio.formats import duracion, miles

NOTHING: Final = SafeString("")
HOURS: Final = 24
# The chart's own units; the page scales it.
STEP: Final = 16
BASELINE: Final = 130
HIGHEST: Final = 105


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """Work that waits for a person, and the list where it is done.

    `since`: since when the oldest waits, UTC; None if the age does not matter.
    """

    what: str
    count: int
    url: str
    since: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Row:
    """A line of a panel, which leads to a page. `note` is the rest of the line."""

    text: str
    url: str
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Panel:
    """A titled box with lines, a picture, or both.

    `empty` is read if there is no line. `more`: a link to the whole list, as (text, address).
    """

    title: str
    rows: Sequence[Row] = ()
    picture: SafeString = NOTHING
    empty: str = ""
    more: tuple[str, str] | None = None


def hace(tiempo: timedelta) -> str:
    """Return how long ago something was: `hace 3 min`, `hace 2 días`."""
    return f"hace {duracion(max(tiempo, timedelta(0)).total_seconds())}"


def age(waiting: Waiting, now: datetime) -> str:
    """Return since when the oldest waits: `desde hace 3 días`, `recién`; empty if nothing waits."""
    if not waiting.count or waiting.since is None:
        return ""
    waits = now - waiting.since
    return f"desde {hace(waits)}" if waits >= timedelta(minutes=1) else "recién"


def hours_chart(per_hour: Mapping[int, int], *, what: str) -> SafeString:
    """Draw one bar per hour of a day as inline SVG. `what`: what is counted, in the plural."""
    total = sum(per_hour.values())
    busiest = max(per_hour, key=lambda hour: (per_hour[hour], -hour), default=0)
    highest = per_hour.get(busiest, 0)
    context = {
        "bars": [_bar(hour, per_hour.get(hour, 0), highest) for hour in range(HOURS)],
        "busiest": busiest,
        "summary": _summary(total, what, busiest, highest),
        "width": STEP * HOURS,
        "baseline": BASELINE,
    }
    return render_to_string("gremio/hours.svg", context)


def _summary(total: int, what: str, busiest: int, highest: int) -> str:
    if not total:
        return f"Todavía no hay {what}"
    return f"{miles(total)} {what}; lo más alto, entre las {busiest} y las {busiest + 1} h: {miles(highest)}"


def _bar(hour: int, count: int, highest: int) -> dict[str, object]:
    height = round(count / highest * HIGHEST, 1) if count else 0
    return {
        "hour": hour,
        "count": miles(count),
        "x": hour * STEP + 2,
        "center": hour * STEP + STEP // 2,
        "width": STEP - 4,
        "height": height,
        "y": round(BASELINE - height, 1),
    }
