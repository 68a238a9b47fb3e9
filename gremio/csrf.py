"""Why a form failed Django's CSRF check, in words that say what to do."""

from typing import Final

from django.conf import settings
from django.http import HttpRequest
from django.middleware.csrf import REASON_NO_CSRF_COOKIE

OTHER_ADDRESS: Final = (
    "Este formulario llegó desde {origin}, y la dirección del sitio es {site}: entra por ahí. "
    "Si esa no es la dirección correcta, quien administra el sitio debe corregir SITE_URL."
)
NO_ORIGIN: Final = (
    "Tu navegador no dijo desde qué página envías, quizás por una extensión o un ajuste de privacidad. "
    "Permítelo para este sitio, vuelve a cargar la página y envía otra vez."
)
NO_COOKIE: Final = (
    "Tu navegador no envió la cookie de este sitio. Permite sus cookies, vuelve a cargar la página y envía otra vez."
)
OLD_PAGE: Final = "La página estuvo abierta mucho tiempo. Vuelve a cargarla y envía otra vez."


def explain(reason: str, request: HttpRequest) -> str:
    """Return the reason in Spanish. `reason` is Django's own, in English."""
    if reason.startswith(("Origin checking failed", "Referer checking failed")):
        origin = request.headers.get("Origin") or request.headers.get("Referer")
        if origin in (None, "null"):
            return NO_ORIGIN
        return OTHER_ADDRESS.format(origin=origin[:200], site=settings.SITE_URL)
    return NO_COOKIE if reason == REASON_NO_CSRF_COOKIE else OLD_PAGE
