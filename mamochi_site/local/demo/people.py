"""The maestros of the demo: invented people with valid RUTs, from real comunas."""

import random
import unicodedata
from dataclasses import dataclass
from typing import Final

from stdnum.cl import rut

NAMES: Final = [
    "Rosa Ñáñez Peña",
    "José Muñoz Cáceres",
    "María Ibáñez Sepúlveda",
    "Ramón Núñez Órdenes",
    "Begoña Yáñez Toro",
    "Andrés Piñones Lagüe",
    "Inés Ordóñez Véliz",
    "Tomás Riquelme Ñancupil",
]
COMUNAS: Final = ["Ñuñoa", "Peñalolén", "Viña del Mar", "Valparaíso", "Chillán", "Concepción", "Ñiquén", "Maipú"]
RUTS: Final = range(6_000_000, 24_000_000)


@dataclass(frozen=True)
class Persona:
    """A person who enrols; `comprobante` is the payment receipt, or empty."""

    nombre: str
    rut: str
    email: str
    telefono: str
    comuna: str
    comprobante: str

    @property
    def paid(self) -> bool:
        """Return True if this person has paid, which gives the review priority."""
        return bool(self.comprobante)

    @property
    def apodo(self) -> str:
        """Return the first name, for small places on the screen."""
        return self.nombre.split()[0]

    def formulario(self) -> dict[str, object]:
        """Return the enrolment form as the API expects it."""
        form: dict[str, object] = {
            "nombre": self.nombre,
            "rut": self.rut,
            "email": self.email,
            "telefono": self.telefono,
            "comuna": self.comuna,
            "paid": self.paid,
        }
        return {**form, "comprobante_pago": self.comprobante} if self.paid else form


def gather(count: int, paid: int, chance: random.Random) -> list[Persona]:
    """Return `count` people, `paid` of them with a receipt, in the order in which they enrol."""
    names = chance.sample(NAMES, count)
    comunas = chance.sample(COMUNAS, count)
    payers = set(chance.sample(range(count), paid))
    return [_person(names[i], comunas[i], chance, paid=i in payers) for i in range(count)]


def _person(nombre: str, comuna: str, chance: random.Random, *, paid: bool) -> Persona:
    number = chance.choice(RUTS)
    phone = f"{chance.randrange(10**8):08}"
    return Persona(
        nombre=nombre,
        rut=rut.format(f"{number}{rut.calc_check_digit(str(number))}"),
        email=f"{_plain(nombre)}.{number % 10_000:04}@example.cl",
        telefono=f"+56 9 {phone[:4]} {phone[4:]}",
        comuna=comuna,
        comprobante=f"TRX-{chance.randrange(10**9):09}" if paid else "",
    )


def _plain(nombre: str) -> str:
    """Return first name and surname in ASCII for an e-mail address, such as `rosa.nanez`."""
    letters = unicodedata.normalize("NFKD", nombre.lower()).encode("ascii", "ignore").decode()
    return ".".join(letters.split()[:2])
