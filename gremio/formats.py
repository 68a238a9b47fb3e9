"""Numbers, money, durations and times as people in Chile write them.

Django's own Spanish format is not used: it separates thousands with a space.
"""

from datetime import date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

DIAS: Final = ("lunes", "martes", "miércoles", "jueves", "viernes", "sábado", "domingo")
MESES: Final = (
    *("enero", "febrero", "marzo", "abril", "mayo", "junio"),
    *("julio", "agosto", "septiembre", "octubre", "noviembre", "diciembre"),
)
_NEAR: Final = {-1: "ayer", 0: "hoy", 1: "mañana"}  # by days from today


def miles(cantidad: int) -> str:
    """Return a whole number with a dot between its thousands: `12.500`."""
    return f"{cantidad:,}".replace(",", ".")


def con_unidad(cantidad: int, unidad: str) -> str:
    """Return an amount and its unit: `1.500 g`."""
    return f"{miles(cantidad)} {unidad}"


def medida(cantidad: int, unidad: str) -> str:
    """Return an amount as maestros say it: `1.500 g`, and `3` for pieces (`un`)."""
    return miles(cantidad) if unidad == "un" else con_unidad(cantidad, unidad)


def pesos(monto: int) -> str:
    """Return an amount of whole CLP: `$12.500`, `-$1.000`."""
    sign = "-" if monto < 0 else ""
    return f"{sign}${miles(abs(monto))}"


def duracion(segundos: float) -> str:
    """Return seconds as people say them: `0,4 s`, `90 s`, `3 min`, `5 h`, `2 días`."""
    if segundos < 10:
        return f"{segundos:.1f} s".replace(".", ",")
    if segundos < 120:
        return f"{round(segundos)} s"
    if segundos < 7_200:
        return f"{round(segundos / 60)} min"
    if segundos < 172_800:
        return f"{round(segundos / 3_600)} h"
    return f"{round(segundos / 86_400)} días"


def cuando(momento: datetime, *, ahora: datetime, zona: ZoneInfo) -> str:
    """Return an aware moment in words: `hoy 15:12`, `viernes 27 de noviembre 15:12`."""
    return f"{dia(momento, ahora=ahora, zona=zona)} {hora(momento, zona)}"


def a_las(momento: datetime, *, ahora: datetime, zona: ZoneInfo) -> str:
    """Return when something will happen: `a las 15:12`, `mañana a las 9:05`, `el viernes 27`.

    The hour of a later day than tomorrow is left out, because such a forecast is not that exact.
    """
    distance = (momento.astimezone(zona).date() - ahora.astimezone(zona).date()).days
    if distance > 1:
        return f"el {dia(momento, ahora=ahora, zona=zona)}"
    a_la_hora = f"a la{'' if momento.astimezone(zona).hour == 1 else 's'} {hora(momento, zona)}"
    return a_la_hora if distance <= 0 else f"mañana {a_la_hora}"


def dia(momento: datetime, *, ahora: datetime, zona: ZoneInfo) -> str:
    """Return the day of an aware moment: `hoy`, `viernes 27 de noviembre`, `3 de enero de 2025`."""
    of_moment, today = momento.astimezone(zona).date(), ahora.astimezone(zona).date()
    near = _NEAR.get((of_moment - today).days)
    if near:
        return near
    if abs(of_moment - today) > timedelta(days=300):
        return f"{fecha(of_moment)} de {of_moment.year}"
    return f"{DIAS[of_moment.weekday()]} {fecha(of_moment)}"


def fecha(de: date) -> str:
    """Return a date without its year: `27 de noviembre`."""
    return f"{de.day} de {MESES[de.month - 1]}"


def hora(momento: datetime, zona: ZoneInfo) -> str:
    """Return the time of day on a clock in `zona`: `9:05`, `15:12`."""
    local = momento.astimezone(zona)
    return f"{local.hour}:{local.minute:02}"
