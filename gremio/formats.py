"""Numbers, money and durations as people in Chile write them.

Django's own Spanish format is not used: it separates thousands with a space.
"""


def miles(cantidad: int) -> str:
    """Return a whole number with a dot between its thousands: `12.500`."""
    return f"{cantidad:,}".replace(",", ".")


def con_unidad(cantidad: int, unidad: str) -> str:
    """Return an amount and its unit: `1.500 g`."""
    return f"{miles(cantidad)} {unidad}"


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
