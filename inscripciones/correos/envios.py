"""Sending an e-mail: claim its row, make the token, send, record the outcome.

A worker that dies leaves its claim behind. When that claim has lapsed, another worker takes the
mail. `ahora` is the time of the database's clock: by the clocks of two workers, a claim may lapse
while its mail is being sent.
"""

import logging
import traceback
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from gremio import mail
from gremio.hints import hint
from gremio.transactions import transaction_required
from inscripciones import credenciales
from inscripciones.correos import emails
from inscripciones.models import Envio, Usuario

logger = logging.getLogger(__name__)

# Longer than an SMTP conversation in which every step takes EMAIL_TIMEOUT, and than
# mail.KILLED_AFTER_S.
CLAIM: Final = timedelta(minutes=3)
FIRST_RETRY: Final = timedelta(seconds=15)
LONGEST_RETRY: Final = timedelta(minutes=15)
RETRY_WITHOUT_SERVER: Final = timedelta(seconds=15)  # however long it is down: a server that is back is used soon
# A mail that is due later than this was dated by a clock that was ahead and has been set right.
LATEST: Final = 2 * LONGEST_RETRY
SWEEP_LIMIT: Final = 500


def vencidos(*, ahora: datetime) -> list[UUID]:
    """Return the ids of up to SWEEP_LIMIT e-mails that are due, oldest first.

    They were never tried, are to be tried again, or were claimed by a worker that died.
    """
    abiertos = Envio.objects.filter(_due(ahora), estado__in=Envio.ABIERTOS)
    return list(abiertos.order_by("proximo_intento").values_list("pk", flat=True)[:SWEEP_LIMIT])


def _due(ahora: datetime) -> Q:
    return Q(proximo_intento__lte=ahora) | Q(proximo_intento__gt=ahora + LATEST)


def enviar(envio_id: UUID, *, ahora: datetime) -> bool:
    """Send one e-mail if it is due and no other worker has claimed it; return whether it was sent.

    A mail that fails is tried again later, unless its mailbox refused it for good.
    """
    with transaction.atomic():
        envio = claim(envio_id, ahora)
        if envio is None:
            return False
        usuario = _token_owner(envio)
        if usuario and not usuario.is_active:
            _claimed_row(envio).update(estado=Envio.Estado.DETENIDO, ultimo_error=Envio.DE_BAJA)
            return False
        token = credenciales.emitir(usuario) if usuario else ""
    try:
        emails.componer(envio, token=token).send()
    except mail.DELIVERY_ERRORS as error:
        record_failure(envio, usuario, error, ahora)
        return False
    except Exception as error:  # noqa: BLE001 - a bug of ours must not keep the mail claimed
        record_failure(envio, usuario, error, ahora)
        # Without the error's text, which may quote the token.
        frames = "".join(traceback.format_tb(error.__traceback__))
        logger.error("e-mail %s: %s at\n%s", envio.pk, mail.summary(error), frames)
        return False
    _claimed_row(envio).update(estado=Envio.Estado.ENVIADO, enviado_en=timezone.now(), ultimo_error="")
    return True


@transaction_required
def claim(envio_id: UUID, ahora: datetime) -> Envio | None:
    """Reserve the e-mail for CLAIM if it is due; return its row, or None if it is not due."""
    due = Envio.objects.filter(_due(ahora), pk=envio_id, estado__in=Envio.ABIERTOS)
    claimed = due.update(estado=Envio.Estado.ENVIANDO, intentos=F("intentos") + 1, proximo_intento=ahora + CLAIM)
    if not claimed:
        return None
    envio = Envio.objects.select_related("inscripcion").get(pk=envio_id)
    envio.message_id = emails.message_id(envio)
    envio.save(update_fields=["message_id"])
    return envio


@transaction.atomic
def record_failure(envio: Envio, usuario: Usuario | None, error: Exception, ahora: datetime) -> None:
    """Void the token that did not arrive; make the mail due again later, or stop it for a person.

    An attempt whose claim has lapsed changes nothing.
    """
    permanent = mail.recipient_is_refused_for_good(error)
    still_claimed = _claimed_row(envio).update(
        estado=Envio.Estado.DETENIDO if permanent else Envio.Estado.PENDIENTE,
        proximo_intento=ahora + _wait(envio, error),
        ultimo_error=mail.summary(error),
    )
    if still_claimed and usuario:
        credenciales.revocar(usuario)
    logger.warning("e-mail %s not sent at attempt %d: %s", envio.pk, envio.intentos, mail.summary(error))


def _wait(envio: Envio, error: Exception) -> timedelta:
    """Return how long to wait before the next attempt; a mail that is refused waits ever longer."""
    if isinstance(error, mail.DELIVERY_ERRORS) and not mail.email_is_refused(error):
        return RETRY_WITHOUT_SERVER
    doubled: timedelta = FIRST_RETRY * 2 ** min(envio.intentos - 1, 20)
    return min(doubled, LONGEST_RETRY)


@transaction.atomic
def reenviar_credenciales(inscripcion_id: UUID, *, ahora: datetime) -> bool:
    """Make the credentials due again; the present token becomes void when the new one is made.

    Return False and change nothing if the maestro has left the guild.
    """
    envio = Envio.objects.select_for_update().get(inscripcion=inscripcion_id, tipo=Envio.Tipo.CREDENCIALES)
    if not Usuario.objects.get(maestro__inscripcion=inscripcion_id).is_active:
        return False
    envio.estado, envio.proximo_intento = Envio.Estado.PENDIENTE, ahora
    envio.save(update_fields=["estado", "proximo_intento"])
    transaction.on_commit(lambda: send_soon([envio.pk]))
    return True


def reintentar(ids: list[UUID], *, ahora: datetime) -> int:
    """Make unsent e-mails due now as new messages, stopped ones too; return how many."""
    unsent = Envio.objects.filter(pk__in=ids).exclude(estado__in=[Envio.Estado.ENVIADO, Envio.Estado.ENVIANDO])
    count = unsent.update(estado=Envio.Estado.PENDIENTE, proximo_intento=ahora, reenvios=F("reenvios") + 1)
    send_soon(ids)
    return count


def send_soon(ids: Iterable[UUID]) -> None:
    """Hint at these e-mails, so that a worker sends them before the next sweep."""
    hint("inscripciones.tasks.enviar_correos", [str(envio_id) for envio_id in ids])


def _token_owner(envio: Envio) -> Usuario | None:
    """Return the user who gets a token with this mail; None if the mail brings no credentials."""
    if envio.tipo != Envio.Tipo.CREDENCIALES:
        return None
    return Usuario.objects.get(maestro__inscripcion=envio.inscripcion_id)


def _claimed_row(envio: Envio) -> QuerySet[Envio]:
    """Return the row as long as this attempt is the one that holds it, else no row."""
    return Envio.objects.filter(pk=envio.pk, estado=Envio.Estado.ENVIANDO, intentos=envio.intentos)
