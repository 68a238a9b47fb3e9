"""Query parameters that filter sales: dates, moments and weeks, in Chilean time."""

from datetime import UTC, date, datetime, timedelta

from django.utils.dateparse import parse_date, parse_datetime
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

from ventas import calendario


def moment_parameter(request: Request, name: str, *, days_later: int = 0) -> datetime | None:
    """Return the moment that a parameter names, in UTC, or None if it is missing.

    A date means its first moment in Chile, `days_later` days later. Raises ValidationError if the
    text is neither a date nor a moment.
    """
    text = request.query_params.get(name)
    if not text:
        return None
    try:
        if day := parse_date(text):
            return calendario.comienzo(day + timedelta(days=days_later))
        if moment := parse_datetime(text):
            return calendario.con_zona(moment).astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise ValidationError({name: ["Usa una fecha como 2026-11-23 o un momento como 2026-11-23T15:04:05-03:00."]})


def flag_parameter(request: Request, name: str) -> bool:
    """Return whether a parameter is `true`; False if it is missing.

    Raises ValidationError if the text is neither `true` nor `false`.
    """
    text = request.query_params.get(name, "false").lower()
    if text not in ("true", "false", "1", "0"):
        raise ValidationError({name: ["Usa true o false."]})
    return text in ("true", "1")


def week_parameter(request: Request, *, now: datetime) -> date:
    """Return the Monday of the week in `?semana=2026-W47`; without it, of the current week.

    Raises ValidationError if the text names no week.
    """
    text = request.query_params.get("semana")
    try:
        return calendario.lunes_de_codigo(text) if text else calendario.semana_de(now)
    except ValueError:
        raise ValidationError({"semana": ["Usa una semana como 2026-W47 (del lunes al domingo)."]}) from None
