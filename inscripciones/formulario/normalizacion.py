"""Normal forms of what applicants type, so that the same value typed in two ways is equal.

Each function takes the typed text and raises ValueError with a reason in Spanish, fit to be shown
at the field.
"""

import csv
import re
import unicodedata
from functools import cache
from pathlib import Path
from typing import Final

from stdnum.cl import rut as stdnum_rut
from stdnum.exceptions import InvalidChecksum, ValidationError

from gremio.lectura.direcciones import con_dominio_ascii
from gremio.lectura.textos import limpiar

# Domains whose addresses are the same with and without dots.
GMAIL: Final = ("gmail.com", "googlemail.com")
# The 346 comunas, as they are since Ñuble became a region (2018).
COMUNAS_CSV: Final = Path(__file__).with_name("comunas.csv")


def rut(texto: str) -> str:
    """Return a RUT as `12345678-5`, also for `12.345.678-5`, `12345678 5` or `12,345,678-5`."""
    compacto = "".join(filter(str.isalnum, limpiar(texto))).upper().removeprefix("CL").lstrip("0")
    try:
        compacto = stdnum_rut.validate(compacto)
    except InvalidChecksum:
        raise ValueError("El dígito verificador no corresponde a este RUT: revísalo.") from None
    except ValidationError:
        raise ValueError("No es un RUT: escríbelo como 12.345.678-5.") from None
    return f"{compacto[:-1]}-{compacto[-1]}"


def telefono(texto: str) -> str:
    """Return a Chilean number as `+56987654321`: nine digits, before which +56 may be missing."""
    texto = re.sub(r"(?i)^\s*tel:", "", limpiar(texto))  # a link, as telephones copy it
    if re.search(r"[^\d\s()+.\-]", texto):
        raise ValueError("Un teléfono lleva solo números: escríbelo como +56 9 8765 4321.")
    digitos = re.sub(r"\D", "", texto).lstrip("0")
    nacional = digitos[2:] if len(digitos) == 11 and digitos.startswith("56") else digitos
    if not re.fullmatch(r"[2-9][0-9]{8}", nacional):
        raise ValueError("No es un teléfono de Chile: escríbelo con sus nueve dígitos, como +56 9 8765 4321.")
    return f"+56{nacional}"


def nombre(texto: str) -> str:
    """Return a name with one space between words and composed accents (NFC)."""
    limpio = " ".join(limpiar(texto).replace("`", "'").split())
    if len(re.findall(r"[^\W\d_]", limpio)) < 2:
        raise ValueError("Escribe tu nombre y apellidos.")
    if otro := re.search(r"[^\w\s'’.\-·]|_", limpio):
        raise ValueError(f"Un nombre no lleva «{otro[0]}».")
    # A web address as a name would become a link in the mail that greets the applicant.
    if re.search(r"\.\S", limpio):
        raise ValueError("Después de un punto, en un nombre va un espacio: Juan P. Soto.")
    return limpio


def email(texto: str) -> str:
    """Return an address in lower case, its domain in ASCII (`rosa@xn--andu-fqa.cl` for `ñandu.cl`).

    No two people have addresses that differ by case only, or by the spelling of their domain.
    """
    return con_dominio_ascii(limpiar(texto).strip().lower())


def buzon(correo: str) -> str:
    """Return the mailbox behind an address: `Rosa.N+mote@googlemail.com` is `rosan@gmail.com`.

    It serves to compare and to count; mails go to the address itself.
    """
    cuenta, _, dominio = email(correo).rpartition("@")
    cuenta = cuenta.partition("+")[0] or cuenta
    return f"{cuenta.replace('.', '')}@gmail.com" if dominio in GMAIL else f"{cuenta}@{dominio}"


def comprobante(texto: str) -> str:
    """Return a receipt's code in upper case without spaces: `TRX000123`. Empty stays empty."""
    limpio = re.sub(r"\s+", "", limpiar(texto)).upper()
    if limpio and not re.fullmatch(r"[A-Z0-9][A-Z0-9._/#-]{2,63}", limpio):
        raise ValueError("Copia el código del comprobante: de 3 a 64 letras, números o guiones.")
    return limpio


def clave_de_comprobante(codigo: str) -> str:
    """Return the letters and digits of a receipt's code, to compare it; empty if it has none.

    People copy `TRX-000123` as `TRX000123` or `trx_000123`.
    """
    return "".join(filter(str.isalnum, codigo)).upper()


def mismo_nombre(uno: str, otro: str) -> bool:
    """Return whether two names differ in case, accents and punctuation only."""
    return _plain(uno) == _plain(otro)


def comuna(texto: str) -> str:
    """Return the official spelling whatever the case, accents or hyphens: `nunoa` is `Ñuñoa`."""
    try:
        return _comunas_by_plain_name()[_plain(limpiar(texto))]
    except KeyError:
        raise ValueError("No es una comuna de Chile: escribe su nombre, como Ñuñoa o Viña del Mar.") from None


def comunas() -> list[str]:
    """Return the official names in alphabetical order."""
    return sorted(set(_comunas_by_plain_name().values()), key=_plain)


@cache
def _comunas_by_plain_name() -> dict[str, str]:
    """Return the official names by their plain form and by that of their other spellings."""
    with COMUNAS_CSV.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    others = {_plain(other): row["comuna"] for row in rows for other in row["tambien"].split(";") if other}
    return others | {_plain(row["comuna"]): row["comuna"] for row in rows}


def _plain(text: str) -> str:
    """Return the letters in lower case without accents, to compare texts."""
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return "".join(letter for letter in decomposed if letter.isalpha())
