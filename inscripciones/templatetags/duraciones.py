"""How long something took, in words."""

from django import template

register = template.Library()


@register.filter
def duracion(segundos: float) -> str:
    """Seconds as a person says them: `0,4 s`, `3 min`, `5 h`, `2 días`."""
    if segundos < 10:
        return f"{segundos:.1f} s".replace(".", ",")
    for tope, unidad, divisor in ((120, "s", 1), (7_200, "min", 60), (172_800, "h", 3_600)):
        if segundos < tope:
            return f"{round(segundos / divisor)} {unidad}"
    return f"{round(segundos / 86_400)} días"
