"""The accounting week: Monday 00:00 to Monday 00:00 in Chile, named as ISO 8601 does (`2026-W47`). Pure arithmetic.

A week is known by its Monday. It lasts 168 hours but for the two in which Chile changes its clocks (167 and 169).
"""

import re
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

CHILE: Final = ZoneInfo("America/Santiago")
SEMANA: Final = timedelta(days=7)
CODIGO: Final = re.compile(r"(2\d{3})-W(\d{2})", re.ASCII)


def dia_en_chile(momento: datetime) -> date:
    """The date that calendars in Chile show at an aware moment."""
    return momento.astimezone(CHILE).date()


def lunes_de(dia: date) -> date:
    """The Monday of the week that a date lies in."""
    return dia - timedelta(days=dia.weekday())


def semana_de(momento: datetime) -> date:
    """The Monday of the Chilean week that an aware moment lies in."""
    return lunes_de(dia_en_chile(momento))


def comienzo(dia: date) -> datetime:
    """The first moment of a date in Chile, as UTC (in spring the clock may begin that day at 01:00)."""
    return datetime.combine(dia, time.min, CHILE).astimezone(UTC)


def limites(lunes: date) -> tuple[datetime, datetime]:
    """First moment of the week and first moment after it, as UTC."""
    return comienzo(lunes), comienzo(lunes + SEMANA)


def dias(lunes: date) -> list[date]:
    """The seven dates of the week."""
    return [lunes + timedelta(days=n) for n in range(7)]


def codigo(lunes: date) -> str:
    """The week's ISO name: `2026-W47`."""
    year, week, _ = lunes.isocalendar()
    return f"{year}-W{week:02}"


def lunes_de_codigo(texto: str) -> date:
    """The Monday of `2026-W47`. Raises ValueError where that is no week of the years 2000 to 2999."""
    found = CODIGO.fullmatch(texto)
    if not found:
        raise ValueError(f"{texto[:20]!r} is no ISO week such as 2026-W47")
    return date.fromisocalendar(int(found[1]), int(found[2]), 1)
