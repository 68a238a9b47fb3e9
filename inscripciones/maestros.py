"""Changes to a member of the guild: another e-mail address, leaving, coming back."""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from django.db import transaction

from gremio.transactions import transaction_required
from inscripciones import credenciales
from inscripciones.correos import envios
from inscripciones.events import CorreoCorregido
from inscripciones.formulario import locks, normalizacion
from inscripciones.models import Envio, Inscripcion, Maestro, Usuario
from kafka_bridge.publishing import outbox


@transaction.atomic
def corregir_correo(maestro_id: UUID, correo: str, *, ahora: datetime) -> None:
    """Replace a mistyped address, void the token that was sent to it, and send new credentials.

    Raises ValueError, in Spanish, if the address belongs to another enrolment or is the present
    one.
    """
    correo = normalizacion.email(correo)
    maestro = Maestro.objects.select_related("inscripcion", "usuario").get(pk=maestro_id)
    locks.acquire(locks.email_keys(correo))
    if Inscripcion.objects.filter(email=correo, estado__in=Inscripcion.VIVAS).exists():
        raise ValueError("Ese correo es de otra inscripción, pendiente o aprobada, o es el que ya tenía.")
    cambiar_correos({maestro_id: (correo, ahora)})
    event_id = CorreoCorregido.derive_id(maestro_id, ahora)
    outbox.add(CorreoCorregido(id=event_id, time=ahora, maestro_id=maestro_id, email=correo))
    envios.reenviar_credenciales(maestro.inscripcion_id, ahora=ahora)
    credenciales.revocar(maestro.usuario)


@transaction_required
def cambiar_correos(correos: Mapping[UUID, tuple[str, datetime]]) -> None:
    """Write the address of each of these maestros, also into the enrolment behind the maestro.

    Each address comes with the time of its correction; one that is not newer than the last
    correction of that maestro changes nothing.
    """
    rows = Maestro.objects.select_related("inscripcion").filter(pk__in=correos)
    maestros = [one for one in rows if one.correo_desde is None or one.correo_desde < correos[one.pk][1]]
    for maestro in maestros:
        maestro.email, maestro.correo_desde = correos[maestro.pk]
        maestro.inscripcion.email = maestro.email
        maestro.inscripcion.buzon = normalizacion.buzon(maestro.email)
    Maestro.objects.bulk_update(maestros, ["email", "correo_desde"])
    Inscripcion.objects.bulk_update([maestro.inscripcion for maestro in maestros], ["email", "buzon"])


@transaction.atomic
def dar_de_baja(usuario: Usuario) -> None:
    """End a membership: void token and sessions, forbid logging in, stop unsent credentials."""
    unsent = Envio.objects.filter(
        tipo=Envio.Tipo.CREDENCIALES, inscripcion__maestro__usuario=usuario, estado__in=Envio.ABIERTOS
    )
    unsent.update(estado=Envio.Estado.DETENIDO, ultimo_error=Envio.DE_BAJA)
    usuario.is_active = False
    usuario.save(update_fields=["is_active"])
    credenciales.revocar(usuario)


def reactivar(usuario: Usuario) -> None:
    """Let a former member log in again; the token comes with credentials that staff resend."""
    usuario.is_active = True
    usuario.save(update_fields=["is_active"])
