"""What stands in a query string: dates, moments and weeks, in Chilean time."""

from datetime import UTC, date, datetime, timedelta

from django.utils.dateparse import parse_date, parse_datetime
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

from ventas import calendario


def momento(request: Request, nombre: str, *, dias_despues: int = 0) -> datetime | None:
    """The moment that a parameter names, None where it is missing. A date is its first moment in Chile, days later if asked.

    Raises ValidationError where it is neither a date nor a moment.
    """
    texto = request.query_params.get(nombre)
    if not texto:
        return None
    try:
        if dia := parse_date(texto):
            return calendario.comienzo(dia + timedelta(days=dias_despues))
        if leido := parse_datetime(texto):
            return (leido if leido.tzinfo else leido.replace(tzinfo=calendario.CHILE)).astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise ValidationError({nombre: ["Usa una fecha como 2026-11-23 o un momento como 2026-11-23T15:04:05-03:00."]})


def lunes(request: Request, *, ahora: datetime) -> date:
    """The Monday of the week in `?semana=2026-W47`, by default the current one. Raises ValidationError."""
    texto = request.query_params.get("semana")
    try:
        return calendario.lunes_de_codigo(texto) if texto else calendario.semana_de(ahora)
    except ValueError:
        raise ValidationError({"semana": ["Usa una semana como 2026-W47 (del lunes al domingo)."]}) from None
