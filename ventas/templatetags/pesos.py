"""Money and numbers as they are written in Chile."""

from django import template

register = template.Library()


@register.filter
def pesos(monto: int) -> str:
    """Whole CLP: `$12.500`, `-$1.000`."""
    return f"{'-' if monto < 0 else ''}${miles(abs(monto))}"


@register.filter
def miles(numero: int) -> str:
    """A number with its thousands apart: `12.500`."""
    return f"{numero:,}".replace(",", ".")
