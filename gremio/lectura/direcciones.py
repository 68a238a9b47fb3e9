"""The normal form of a mail domain, which is also the one that can be mailed to."""

from typing import Final

import idna

_LONGEST_DOMAIN: Final = 253  # characters


def con_dominio_ascii(correo: str) -> str:
    """Return the address with its domain in lower case and ASCII: `ñandu.cl` is `xn--andu-fqa.cl`.

    This is IDNA 2008 after the mapping of UTS 46, as browsers and mail servers do it. A domain
    that has no such form stays as it is, for the rules of addresses to refuse it.
    """
    cuenta, at, dominio = correo.rpartition("@")
    return f"{cuenta}{at}{_ascii(dominio)}" if at else correo


def _ascii(dominio: str) -> str:
    if dominio.isascii() or len(dominio) > _LONGEST_DOMAIN:
        return dominio.lower()
    try:
        return idna.encode(dominio, uts46=True).decode("ascii")
    except (idna.IDNAError, UnicodeError):
        return dominio.lower()
