"""Durations in words, in the language of the reader."""

from django.utils.translation import gettext


def duration(seconds: float) -> str:
    """Return a rounded duration, such as 8 s, 3 min, 2 h or 4 days; a unit is used from two on."""
    if seconds >= 2 * 86_400:
        return gettext("%(count)d days") % {"count": round(seconds / 86_400)}
    if seconds >= 2 * 3_600:
        return gettext("%(count)d h") % {"count": round(seconds / 3_600)}
    if seconds >= 2 * 60:
        return gettext("%(count)d min") % {"count": round(seconds / 60)}
    return gettext("%(count)d s") % {"count": round(seconds)}
