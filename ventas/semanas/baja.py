"""Ending the weekly e-mail, by an address in it that is signed and needs no login (RFC 8058)."""

from uuid import UUID

from django.conf import settings
from django.core.signing import BadSignature, Signer
from django.db import transaction
from django.urls import reverse

from ventas.models import Cuenta, ReporteSemanal

_signer = Signer(salt="ventas.correo_semanal")


def direccion(maestro_id: UUID) -> str:
    """Return the address at which a maestro says whether the weekly e-mail is wanted."""
    return f"{settings.SITE_URL}{reverse('ventas:correo-semanal', args=[_signer.sign(maestro_id.hex)])}"


def cabeceras(maestro_id: UUID) -> dict[str, str]:
    """Return the headers with which mail programs offer to unsubscribe, with one click."""
    return {
        "List-Unsubscribe": f"<{direccion(maestro_id)}>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
    }


def cuenta_de(firma: str) -> Cuenta | None:
    """Return the account that the last part of such an address names; None if it is not ours."""
    try:
        maestro_id = UUID(_signer.unsign(firma))
    except (BadSignature, ValueError):
        return None
    return Cuenta.objects.filter(pk=maestro_id).first()


@transaction.atomic
def fijar(cuenta: Cuenta, *, quiere: bool) -> None:
    """Store whether the maestro wants the e-mail; if not, one that waits is not sent any more."""
    Cuenta.objects.filter(pk=cuenta.pk).update(correo_semanal=quiere)
    if not quiere:
        waiting = ReporteSemanal.objects.filter(maestro_id=cuenta.pk, envio=ReporteSemanal.EstadoCorreo.PENDIENTE)
        waiting.update(envio=ReporteSemanal.EstadoCorreo.NO_QUIERE, proximo_intento=None)
