"""Durations in Spanish words."""

from django import template

register = template.Library()


@register.filter
def duracion(segundos: float) -> str:
    """Return seconds as people say them: `0,4 s`, `3 min`, `5 h`, `2 días`."""
    if segundos < 10:
        return f"{segundos:.1f} s".replace(".", ",")
    for limit, unit, divisor in ((120, "s", 1), (7_200, "min", 60), (172_800, "h", 3_600)):
        if segundos < limit:
            return f"{round(segundos / divisor)} {unit}"
    return f"{round(segundos / 86_400)} días"
