"""Limits per client address on what needs no login.

Counts live in Django's cache, in each web process's own memory by default: N processes let N times the limit through.
`CACHE_URL=redis://...` makes one count of them. The database is left out on purpose: a form is accepted while it is down.
"""

import logging
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from redis.exceptions import RedisError
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle, SimpleRateThrottle

logger = logging.getLogger(__name__)


def direccion(request: HttpRequest | Request) -> str | None:
    """The client's address behind NUM_PROXIES, None where it is none. Of IPv6 the /64, which one client has to itself."""
    try:
        address = ip_address(BaseThrottle().get_ident(request))  # type: ignore[arg-type]  # it reads META only
    except ValueError:
        return None
    if not isinstance(address, IPv6Address):
        return str(address)
    return str(address.ipv4_mapped or ip_network((address, 64), strict=False).network_address)


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
        return self.cache_format % {"scope": self.scope, "ident": direccion(request)}

    @property
    def retry_after(self) -> str:
        """The header's value for whoever was refused: whole seconds."""
        return str(int(self.wait() or 1) + 1)


class LimiteInscripciones(LimitePorDireccion):
    """On posting a form, logged in or not."""

    scope = "inscripciones"
    setting = "LIMITE_INSCRIPCIONES"


class LimiteEntradas(LimitePorDireccion):
    """On trying a token in the maestros' login page, or a password in the administration's."""

    scope = "entradas"
    setting = "LIMITE_ENTRADAS"
