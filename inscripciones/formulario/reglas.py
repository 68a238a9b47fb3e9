"""The rules of approval: small pure functions, each with a verdict and a reason in Spanish.

A violation rejects the form. A repeated identity waits apart. A doubt sends the form to a person.
A form that passes every rule is approved, if the guild wants that (REVISION_AUTOMATICA).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from django.core.exceptions import ValidationError
from django.core.validators import validate_email

from inscripciones.events import InscripcionRecibida
from inscripciones.formulario import normalizacion
from inscripciones.models import Inscripcion

Estado = Inscripcion.Estado
# The tax service numbers companies in this range and people below it.
FIRST_COMPANY_RUT: Final = 50_000_000
LAST_COMPANY_RUT: Final = 99_999_999
DISPOSABLE_MAIL_DOMAINS: Final = frozenset(
    [
        "10minutemail.com",
        "discard.email",
        "dispostable.com",
        "emailondeck.com",
        "fakeinbox.com",
        "getnada.com",
        "guerrillamail.com",
        "grr.la",
        "maildrop.cc",
        "mailinator.com",
        "mailnesia.com",
        "mintemail.com",
        "mohmal.com",
        "sharklasers.com",
        "spam4.me",
        "temp-mail.org",
        "tempmail.com",
        "throwawaymail.com",
        "trashmail.com",
        "yopmail.com",
    ]
)


class Resultado(StrEnum):
    PASA = "pasa"
    DUDA = "duda"
    REPITE = "repite"
    INFRINGE = "infringe"


@dataclass(frozen=True)
class Veredicto:
    """The verdict of one rule. `razon` is empty if the rule passes.

    Staff read the reason; the applicant reads it only if the rule is violated.
    """

    regla: str
    resultado: Resultado
    razon: str = ""


@dataclass
class Conocido:
    """The other enrolments as the rules need them. It grows within a batch as forms are decided.

    Enrolments are living ones. `comprobantes`: keys of used receipts. `rechazados`: RUTs that a
    person rejected before.
    """

    por_rut: dict[str, Inscripcion] = field(default_factory=dict)
    por_email: dict[str, Inscripcion] = field(default_factory=dict)
    por_buzon: dict[str, Inscripcion] = field(default_factory=dict)
    comprobantes: set[str] = field(default_factory=set)
    rechazados: set[str] = field(default_factory=set)

    def conocer(self, viva: Inscripcion) -> None:
        """Add a living enrolment."""
        self.por_rut[viva.rut] = self.por_email[viva.email] = self.por_buzon[viva.buzon] = viva


def _passes_if(condition: bool, otherwise: Resultado, razon: str) -> tuple[Resultado, str]:
    return (Resultado.PASA, "") if condition else (otherwise, razon)


def rut_valido(form: InscripcionRecibida, _: Conocido) -> tuple[Resultado, str]:
    return _passes_if(_is_normal(normalizacion.rut, form.rut), Resultado.INFRINGE, "El RUT no es válido.")


def rut_de_persona(form: InscripcionRecibida, _: Conocido) -> tuple[Resultado, str]:
    numero = int("0" + "".join(filter(str.isdecimal, form.rut[:-1])))
    es_persona = not FIRST_COMPANY_RUT <= numero <= LAST_COMPANY_RUT
    return _passes_if(es_persona, Resultado.INFRINGE, "El RUT es de una empresa: el gremio inscribe a personas.")


def correo_valido(form: InscripcionRecibida, _: Conocido) -> tuple[Resultado, str]:
    return _passes_if(_is_email(form.email), Resultado.INFRINGE, "El correo no es válido.")


def comuna_oficial(form: InscripcionRecibida, _: Conocido) -> tuple[Resultado, str]:
    return _passes_if(
        _is_normal(normalizacion.comuna, form.comuna), Resultado.INFRINGE, "La comuna no existe en Chile."
    )


def telefono_chileno(form: InscripcionRecibida, _: Conocido) -> tuple[Resultado, str]:
    return _passes_if(
        _is_normal(normalizacion.telefono, form.telefono), Resultado.INFRINGE, "El teléfono no es de Chile."
    )


def pago_con_comprobante(form: InscripcionRecibida, _: Conocido) -> tuple[Resultado, str]:
    tiene = bool(normalizacion.clave_de_comprobante(form.comprobante_pago)) or not form.paid
    return _passes_if(tiene, Resultado.INFRINGE, "Dice que está pagada y no trae comprobante de pago.")


def identidad_sin_inscribir(form: InscripcionRecibida, conocido: Conocido) -> tuple[Resultado, str]:
    otras = {conocido.por_rut.get(form.rut), conocido.por_email.get(form.email)} - {None}
    return _passes_if(not otras, Resultado.REPITE, "El RUT o el correo es de otra inscripción, pendiente o aprobada.")


def buzon_sin_inscribir(form: InscripcionRecibida, conocido: Conocido) -> tuple[Resultado, str]:
    alias = form.email not in conocido.por_email and normalizacion.buzon(form.email) in conocido.por_buzon
    return _passes_if(not alias, Resultado.DUDA, "El correo es un alias del de otra inscripción, pendiente o aprobada.")


def comprobante_sin_uso(form: InscripcionRecibida, conocido: Conocido) -> tuple[Resultado, str]:
    usado = form.paid and normalizacion.clave_de_comprobante(form.comprobante_pago) in conocido.comprobantes
    return _passes_if(not usado, Resultado.DUDA, "Otra inscripción ya usó este comprobante de pago.")


def sin_rechazo_previo(form: InscripcionRecibida, conocido: Conocido) -> tuple[Resultado, str]:
    previo = form.rut in conocido.rechazados
    return _passes_if(not previo, Resultado.DUDA, "Una persona del gremio ya rechazó antes este RUT.")


def nombre_completo(form: InscripcionRecibida, _: Conocido) -> tuple[Resultado, str]:
    return _passes_if(len(form.nombre.split()) > 1, Resultado.DUDA, "Falta el nombre o el apellido.")


def correo_permanente(form: InscripcionRecibida, _: Conocido) -> tuple[Resultado, str]:
    desechable = form.email.rpartition("@")[2].lower() in DISPOSABLE_MAIL_DOMAINS
    return _passes_if(not desechable, Resultado.DUDA, "El correo es de un servicio de correos desechables.")


Regla = Callable[[InscripcionRecibida, Conocido], tuple[Resultado, str]]
REGLAS: Final[tuple[Regla, ...]] = (
    rut_valido,
    rut_de_persona,
    correo_valido,
    comuna_oficial,
    telefono_chileno,
    pago_con_comprobante,
    identidad_sin_inscribir,
    buzon_sin_inscribir,
    comprobante_sin_uso,
    sin_rechazo_previo,
    nombre_completo,
    correo_permanente,
)


def evaluar(form: InscripcionRecibida, conocido: Conocido) -> list[Veredicto]:
    """Return the verdict of every rule on a form, in the order of REGLAS."""
    return [Veredicto(regla.__name__, *regla(form, conocido)) for regla in REGLAS]


def decidir(veredictos: Iterable[Veredicto], *, automatica: bool) -> tuple[Estado, str]:
    """Return the state that follows, and the reason for the applicant (empty unless rejected)."""
    por_resultado: dict[Resultado, list[str]] = {resultado: [] for resultado in Resultado}
    for veredicto in veredictos:
        por_resultado[veredicto.resultado].append(veredicto.razon)
    if infracciones := por_resultado[Resultado.INFRINGE]:
        return Estado.RECHAZADA, " ".join(infracciones)
    if por_resultado[Resultado.REPITE]:
        return Estado.REPETIDA, ""
    if por_resultado[Resultado.DUDA] or not automatica:
        return Estado.EN_REVISION, ""
    return Estado.APROBADA, ""


def _is_normal(normalise: Callable[[str], str], text: str) -> bool:
    try:
        return normalise(text) == text
    except ValueError:
        return False


def _is_email(text: str) -> bool:
    try:
        validate_email(text)
    except ValidationError:
        return False
    return text == normalizacion.email(text)
