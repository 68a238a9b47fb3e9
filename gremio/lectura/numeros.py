"""Numbers as people in Chile type them: `3.000`, `$3.000`, `3 000`, `1.234,50`.

A dot groups thousands and a comma begins the decimals. What could be read in two ways is refused:
a price of three thousand pesos must never become three.
"""

import re
from decimal import Decimal
from typing import Final

from gremio.lectura.textos import limpiar

_SIGN: Final = r"(?P<sign>[+-]?)\s?\$?\s?"
_GROUPED: Final = r"[1-9][0-9]{0,2}(?:\.[0-9]{3})+|[1-9][0-9]{0,2}(?: [0-9]{3})+"
_LONGEST: Final = 18  # digits, which fit into a bigint
_ENTERO: Final = re.compile(rf"{_SIGN}(?P<whole>[0-9]+|{_GROUPED})(?:\.-)?")
# Both `1,20` and `1.20` are accepted; `1.200` is one thousand two hundred.
_DECIMAL: Final = re.compile(rf"{_SIGN}(?P<whole>{_GROUPED}|[0-9]+)(?:,(?P<part>[0-9]+)|\.(?P<dotted>[0-9]{{1,2}}))?")
ENTERO_INVALIDO: Final = "Escribe un número entero, sin decimales: 3000 o 3.000."
DECIMAL_INVALIDO: Final = "Escribe un número, con coma antes de los decimales: 1,20 o 1.200,50."


def entero(texto: str) -> int:
    """Return the whole number that a person typed: 3000 for `3.000`, `3 000`, `$3.000.-`.

    Raises ValueError, in Spanish, for anything else: `3.00`, `3,5`, `3,000` and `1e3`.
    """
    found = _ENTERO.fullmatch(limpiar(texto).strip())
    digits = re.sub(r"[. ]", "", found["whole"]) if found else ""
    if not found or len(digits.lstrip("0")) > _LONGEST:
        raise ValueError(ENTERO_INVALIDO)
    return -int(digits) if found["sign"] == "-" else int(digits)


def decimal(texto: str) -> Decimal:
    """Return the number that a person typed: 1.20 for `1,20` or `1.20`, 1200 for `1.200`.

    Raises ValueError, in Spanish, for anything else.
    """
    found = _DECIMAL.fullmatch(limpiar(texto).strip())
    if not found or len(texto) > 2 * _LONGEST:
        raise ValueError(DECIMAL_INVALIDO)
    whole = re.sub(r"[. ]", "", found["whole"])
    if found["dotted"] and len(whole) != len(found["whole"]):
        raise ValueError(DECIMAL_INVALIDO)  # `1.200.50`: two kinds of dots
    return Decimal(f"{found['sign']}{whole}.{found['part'] or found['dotted'] or '0'}")
