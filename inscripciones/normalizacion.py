"""One normal form for each thing an applicant writes, so that the same thing written twice is equal.

Each function takes what was typed and raises ValueError with a reason in Spanish, fit to be shown at the field.
"""

import csv
import re
import unicodedata
from functools import cache
from pathlib import Path
from typing import Final

from stdnum.cl import rut as stdnum_rut
from stdnum.exceptions import InvalidChecksum, ValidationError

GMAIL: Final = ("gmail.com", "googlemail.com")  # where dots in an address mean nothing
COMUNAS_CSV: Final = Path(__file__).with_name(
    "comunas.csv"
)  # the 346 comunas, in force since Ñuble became a region (2018)


def rut(texto: str) -> str:
    """`12.345.678-5`, `12345678 5`, `12,345,678-5`: all are `12345678-5`."""
    compacto = "".join(filter(str.isalnum, texto)).upper().removeprefix("CL").lstrip("0")
    try:
        compacto = stdnum_rut.validate(compacto)
    except InvalidChecksum:
        raise ValueError("El dígito verificador no corresponde a este RUT: revísalo.") from None
    except ValidationError:
        raise ValueError("No es un RUT: escríbelo como 12.345.678-5.") from None
    return f"{compacto[:-1]}-{compacto[-1]}"


def telefono(texto: str) -> str:
    """A Chilean number, nine digits after +56, which may be missing: `9 8765 4321` is `+56987654321`."""
    if re.search(r"[^\d\s()+.\-]", texto):
        raise ValueError("Un teléfono lleva solo números: escríbelo como +56 9 8765 4321.")
    digitos = re.sub(r"\D", "", texto).lstrip("0")
    nacional = digitos[2:] if len(digitos) == 11 and digitos.startswith("56") else digitos
    if not re.fullmatch(r"[2-9][0-9]{8}", nacional):
        raise ValueError("No es un teléfono de Chile: escríbelo con sus nueve dígitos, como +56 9 8765 4321.")
    return f"+56{nacional}"


def nombre(texto: str) -> str:
    """One space between words, accents composed (NFC)."""
    limpio = " ".join(unicodedata.normalize("NFC", texto).split())
    if len(re.findall(r"[^\W\d_]", limpio)) < 2:
        raise ValueError("Escribe tu nombre y apellidos.")
    if otro := re.search(r"[^\w\s'’.\-·]|_", limpio):
        raise ValueError(f"Un nombre no lleva «{otro[0]}».")
    if re.search(r"\.\S", limpio):  # a web address would be greeted, and become a link, in a stranger's mail
        raise ValueError("Después de un punto, en un nombre va un espacio: Juan P. Soto.")
    return limpio


def email(texto: str) -> str:
    """Lower case throughout: nobody holds two addresses that differ by case only."""
    return texto.strip().lower()


def buzon(correo: str) -> str:
    """The mailbox behind an address: `Rosa.N+mote@googlemail.com` is `rosan@gmail.com`. For counting, never to write to."""
    cuenta, _, dominio = email(correo).rpartition("@")
    cuenta = cuenta.partition("+")[0] or cuenta
    return f"{cuenta.replace('.', '')}@gmail.com" if dominio in GMAIL else f"{cuenta}@{dominio}"


def comprobante(texto: str) -> str:
    """Upper case, without spaces: `trx 000123` is `TRX000123`. Empty stays empty."""
    limpio = re.sub(r"\s+", "", texto).upper()
    if limpio and not re.fullmatch(r"[A-Z0-9][A-Z0-9._/#-]{2,63}", limpio):
        raise ValueError("Copia el código del comprobante: de 3 a 64 letras, números o guiones.")
    return limpio


def clave_de_comprobante(codigo: str) -> str:
    """For comparing: people copy `TRX-000123` as `TRX000123` or `trx_000123`. Empty where there is nothing to compare."""
    return "".join(filter(str.isalnum, codigo)).upper()


def mismo_nombre(uno: str, otro: str) -> bool:
    """Whether two names differ in case, accents and punctuation only."""
    return _plano(uno) == _plano(otro)


def comuna(texto: str) -> str:
    """The official spelling, whatever the case, accents or hyphens: `nunoa` is `Ñuñoa`."""
    try:
        return _comunas()[_plano(texto)]
    except KeyError:
        raise ValueError("No es una comuna de Chile: escribe su nombre, como Ñuñoa o Viña del Mar.") from None


def comunas() -> list[str]:
    """The official names, in alphabetical order."""
    return sorted(set(_comunas().values()), key=_plano)


@cache
def _comunas() -> dict[str, str]:
    with COMUNAS_CSV.open(encoding="utf-8", newline="") as archivo:
        filas = list(csv.DictReader(archivo))
    tambien = {_plano(otro): fila["comuna"] for fila in filas for otro in fila["tambien"].split(";") if otro}
    return tambien | {_plano(fila["comuna"]): fila["comuna"] for fila in filas}


def _plano(texto: str) -> str:
    """Lower case, letters only, without accents: for comparing, never for showing."""
    descompuesto = unicodedata.normalize("NFKD", texto.casefold())
    return "".join(letra for letra in descompuesto if letra.isalpha())
