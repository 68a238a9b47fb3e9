"""Limits per client address on what needs no login.

Counts live in Django's cache, in each web process's own memory by default: N processes let N times the limit through.
`CACHE_URL=redis://...` makes one count of them. The database is left out on purpose: a form is accepted while it is down.
"""

from typing import Any

from django.conf import settings
from rest_framework.request import Request
from rest_framework.throttling import SimpleRateThrottle


class LimitePorDireccion(SimpleRateThrottle):
    """`setting` names the setting with the limit, read at each request."""

    setting: str

    def get_rate(self) -> str | None:
        return getattr(settings, self.setting) or None

    def get_cache_key(self, request: Request, view: Any) -> str:
        return self.cache_format % {"scope": self.scope, "ident": self.get_ident(request)}


class LimiteInscripciones(LimitePorDireccion):
    """On posting a form, logged in or not."""

    scope = "inscripciones"
    setting = "LIMITE_INSCRIPCIONES"


class LimiteEntradas(LimitePorDireccion):
    """On trying a token in the login page."""

    scope = "entradas"
    setting = "LIMITE_ENTRADAS"
