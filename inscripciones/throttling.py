"""Limits per client address on what needs no login.

Counts live in Django's cache, in each web process's own memory by default: N processes let N times the limit through.
`CACHE_URL=redis://...` makes one count of them. The database is left out on purpose: a form is accepted while it is down.
"""

import logging
from ipaddress import IPv6Address, ip_address
from typing import Any

from django.conf import settings
from redis.exceptions import RedisError
from rest_framework.request import Request
from rest_framework.throttling import SimpleRateThrottle

logger = logging.getLogger(__name__)


class LimitePorDireccion(SimpleRateThrottle):
    """`setting` names the setting with the limit, read at each request."""

    setting: str

    def get_rate(self) -> str | None:
        return getattr(settings, self.setting) or None

    def allow_request(self, request: Request, view: Any) -> bool:
        """Lets everyone pass while a shared cache is down: a limit is no reason to turn people away."""
        try:
            return super().allow_request(request, view)
        except RedisError as error:
            logger.warning("no shared cache, hence no limit on %s: %s", self.scope, type(error).__name__)
            return True

    def get_cache_key(self, request: Request, view: Any) -> str:
        return self.cache_format % {"scope": self.scope, "ident": self.get_ident(request)}

    def get_ident(self, request: Request) -> str:
        return cliente_de(super().get_ident(request))


def cliente_de(direccion: str) -> str:
    """The address, or of IPv6 its /64: whoever has one address of those has them all."""
    try:
        ip = ip_address(direccion)
    except ValueError:  # as a proxy wrote it
        return direccion
    if not isinstance(ip, IPv6Address):
        return str(ip)
    return str(ip.ipv4_mapped or IPv6Address(int(ip) >> 64 << 64))


class LimiteInscripciones(LimitePorDireccion):
    """On posting a form, logged in or not."""

    scope = "inscripciones"
    setting = "LIMITE_INSCRIPCIONES"


class LimiteEntradas(LimitePorDireccion):
    """On trying a token in the login page."""

    scope = "entradas"
    setting = "LIMITE_ENTRADAS"
