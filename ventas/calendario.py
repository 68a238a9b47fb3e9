"""The accounting week: Monday 00:00 to Monday 00:00 in Chile. Pure date arithmetic.

A week is identified by its Monday and named as in ISO 8601 (`2026-W47`). It lasts 168 hours, except
for the two weeks of the year in which Chile changes its clocks: they last 167 and 169 hours.
"""

import re
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

CHILE: Final = ZoneInfo("America/Santiago")
SEMANA: Final = timedelta(days=7)
_CODIGO: Final = re.compile(r"(2\d{3})-W(\d{2})", re.ASCII)


def dia_en_chile(momento: datetime) -> date:
    """Return the Chilean date of an aware moment."""
    return momento.astimezone(CHILE).date()


def lunes_de(dia: date) -> date:
    """Return the Monday of the week that contains a date."""
    return dia - timedelta(days=dia.weekday())


def semana_de(momento: datetime) -> date:
    """Return the Monday of the Chilean week that contains an aware moment."""
    return lunes_de(dia_en_chile(momento))


def comienzo(dia: date) -> datetime:
    """Return the first moment of a date in Chile, in UTC.

    On the day of the change to summer time the Chilean clock begins at 01:00, not at 00:00.
    """
    return datetime.combine(dia, time.min, CHILE).astimezone(UTC)


def limites(lunes: date) -> tuple[datetime, datetime]:
    """Return the first moment of the week and the first moment after it, in UTC."""
    return comienzo(lunes), comienzo(lunes + SEMANA)


def dias(lunes: date) -> list[date]:
    """Return the seven dates of the week."""
    return [lunes + timedelta(days=n) for n in range(7)]


def codigo(lunes: date) -> str:
    """Return the week's ISO name: `2026-W47`."""
    year, week, _ = lunes.isocalendar()
    return f"{year}-W{week:02}"


def lunes_de_codigo(texto: str) -> date:
    """Return the Monday of a week such as `2026-W47`.

    Raises ValueError if the text names no week of the years 2000 to 2999.
    """
    found = _CODIGO.fullmatch(texto)
    if not found:
        raise ValueError(f"{texto[:20]!r} is not an ISO week such as 2026-W47")
    return date.fromisocalendar(int(found[1]), int(found[2]), 1)


def con_zona(momento: datetime, zona: ZoneInfo = CHILE) -> datetime:
    """Return an aware moment: a moment without a UTC offset is read as a clock of `zona` shows it.

    Of an hour that the clock repeats (April) it is the first one; in the hour that the clock skips
    (September) it is counted on from before the change, as a clock that was not changed shows it.
    """
    return momento if momento.tzinfo else momento.replace(tzinfo=zona)
