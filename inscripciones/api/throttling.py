"""Limits per client address on calls that need no login.

Counts live in Django's cache, which is by default the memory of each web process: N processes let
N times the limit through. `CACHE_URL=redis://...` makes one shared count. The counts are not in
the database, because forms are accepted while it is down.
"""

import logging
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any, Final, cast

from django.conf import settings
from django.http import HttpRequest
from redis.exceptions import RedisError
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle, SimpleRateThrottle

logger = logging.getLogger(__name__)
CLOCKS_DIFFER_S: Final = 2.0  # between the machines that share a cache


def client_address(request: HttpRequest | Request) -> str | None:
    """Return the client's address behind NUM_PROXIES proxies; None if there is no valid address.

    For an IPv6 address it is the network of the first 64 bits, because one client has all of it.
    """
    try:
        # DRF's method reads `META` only, which both kinds of request have.
        address = ip_address(BaseThrottle().get_ident(cast(Request, request)))
    except ValueError:
        return None
    if not isinstance(address, IPv6Address):
        return str(address)
    return str(address.ipv4_mapped or ip_network((address, 64), strict=False).network_address)


class AddressThrottle(SimpleRateThrottle):
    """A limit per address; `setting` names the setting with the limit, read at each request."""

    setting: str
    duration: int | None  # seconds of the period; None without a limit

    def get_rate(self) -> str | None:
        return getattr(settings, self.setting) or None

    def allow_request(self, request: HttpRequest | Request, view: Any) -> bool:
        """Count the request and return whether it is within the limit.

        All requests are allowed while a shared cache is down: a limit must not turn people away.
        """
        try:
            self._forget_the_future(cast(Request, request), view)
            return super().allow_request(cast(Request, request), view)
        except RedisError as error:
            logger.warning("no shared cache, hence no limit on %s: %s", self.scope, type(error).__name__)
            return True

    def _forget_the_future(self, request: Request, view: Any) -> None:
        """Forget requests that a clock dated which was ahead: they would count until that time."""
        if self.rate is None:
            return
        key = self.get_cache_key(request, view)
        history, latest = self.cache.get(key, []), self.timer() + CLOCKS_DIFFER_S
        if any(stamp > latest for stamp in history):
            self.cache.set(key, [stamp for stamp in history if stamp <= latest], self.duration)

    def get_cache_key(self, request: Request, view: Any) -> str:
        return self.cache_format % {"scope": self.scope, "ident": client_address(request)}

    @property
    def retry_after(self) -> str:
        """The value of Retry-After for a refused request, in whole seconds."""
        return str(int(self.wait() or 1) + 1)


class LimiteInscripciones(AddressThrottle):
    """The limit on posting forms, logged in or not."""

    scope = "inscripciones"
    setting = "LIMITE_INSCRIPCIONES"


class LimiteEntradas(AddressThrottle):
    """The limit on trying tokens at the maestros' login page and passwords at the admin's."""

    scope = "entradas"
    setting = "LIMITE_ENTRADAS"
