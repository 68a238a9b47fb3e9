"""Sending what is owed: claim, make the token, send, record. A rerun finds the claim; a lapsed claim is taken again."""

import logging
import re
import traceback
from datetime import datetime, timedelta
from smtplib import SMTPException, SMTPRecipientsRefused, SMTPResponseException
from typing import Final
from uuid import UUID

from django.db import models, transaction
from django.db.models import F
from django.utils import timezone

from inscripciones import credenciales, emails, tasks
from inscripciones.models import Envio, Usuario

logger = logging.getLogger(__name__)

CLAIM: Final = timedelta(minutes=3)  # longer than an SMTP conversation whose every step takes EMAIL_TIMEOUT
FIRST_RETRY: Final = timedelta(seconds=15)
LONGEST_RETRY: Final = timedelta(minutes=15)
SWEEP_LIMIT: Final = 500


def vencidos(*, ahora: datetime) -> list[UUID]:
    """The e-mails that are due, oldest first: never tried, to be retried, or claimed by a worker that died."""
    abiertos = Envio.objects.filter(estado__in=Envio.ABIERTOS, proximo_intento__lte=ahora)
    return list(abiertos.order_by("proximo_intento").values_list("pk", flat=True)[:SWEEP_LIMIT])


def enviar(envio_id: UUID, *, ahora: datetime) -> bool:
    """Sends one e-mail if it is due and nobody else has it. False where it was not ours, or failed (it is retried)."""
    with transaction.atomic():
        envio = _tomar(envio_id, ahora)
        if envio is None:
            return False
        usuario = _maestro_de(envio)
        if usuario and not usuario.is_active:
            _abierto(envio).update(estado=Envio.Estado.DETENIDO, ultimo_error=Envio.DE_BAJA)
            return False
        token = credenciales.emitir(usuario) if usuario else ""
    try:
        emails.componer(envio, token=token).send()
    except (SMTPException, OSError, ValueError) as error:  # ValueError: an address that no header can hold
        _fallo(envio, usuario, error, ahora)
        return False
    except Exception as error:  # noqa: BLE001 - a fault of ours; whoever logs it whole may log the token with it
        _fallo(envio, usuario, error, ahora)
        logger.error(
            "e-mail %s: %s at\n%s", envio.pk, resumen(error), "".join(traceback.format_tb(error.__traceback__))
        )
        return False
    _abierto(envio).update(estado=Envio.Estado.ENVIADO, enviado_en=timezone.now(), ultimo_error="")
    return True


def reenviar_credenciales(inscripcion_id: UUID, *, ahora: datetime) -> bool:
    """Owes the credentials anew: the token that is out there becomes void when the new one is made.

    False, and nothing owed, where the maestro has left the guild.
    """
    with transaction.atomic():
        envio = Envio.objects.select_for_update().get(inscripcion=inscripcion_id, tipo=Envio.Tipo.CREDENCIALES)
        if not Usuario.objects.get(maestro__inscripcion=inscripcion_id).is_active:
            return False
        envio.estado, envio.proximo_intento = Envio.Estado.PENDIENTE, ahora
        envio.save(update_fields=["estado", "proximo_intento"])
        transaction.on_commit(lambda: tasks.insinuar([envio.pk]))
        return True


def reintentar(ids: list[UUID], *, ahora: datetime) -> int:
    """Makes e-mails that are not sent due now, those that were stopped too. Returns how many."""
    no_enviados = Envio.objects.filter(pk__in=ids).exclude(estado__in=[Envio.Estado.ENVIADO, Envio.Estado.ENVIANDO])
    cuantos = no_enviados.update(estado=Envio.Estado.PENDIENTE, proximo_intento=ahora)
    tasks.insinuar(ids)
    return cuantos


def _tomar(envio_id: UUID, ahora: datetime) -> Envio | None:
    debido = Envio.objects.filter(pk=envio_id, estado__in=Envio.ABIERTOS, proximo_intento__lte=ahora)
    tomado = debido.update(estado=Envio.Estado.ENVIANDO, intentos=F("intentos") + 1, proximo_intento=ahora + CLAIM)
    if not tomado:
        return None
    envio = Envio.objects.select_related("inscripcion").get(pk=envio_id)
    envio.message_id = emails.message_id(envio)
    envio.save(update_fields=["message_id"])
    return envio


def _maestro_de(envio: Envio) -> Usuario | None:
    """Who gets a token with this mail, if it is one of credentials."""
    if envio.tipo != Envio.Tipo.CREDENCIALES:
        return None
    return Usuario.objects.get(maestro__inscripcion=envio.inscripcion_id)


def _fallo(envio: Envio, usuario: Usuario | None, error: Exception, ahora: datetime) -> None:
    """The token that did not arrive is void; the mail is due again later, unless the mailbox refused it for good."""
    with transaction.atomic():
        nuestro = _abierto(envio).update(
            estado=Envio.Estado.DETENIDO if _es_definitivo(error) else Envio.Estado.PENDIENTE,
            proximo_intento=ahora + min(FIRST_RETRY * 2 ** min(envio.intentos - 1, 20), LONGEST_RETRY),
            ultimo_error=resumen(error),
        )
        if nuestro and usuario:
            credenciales.revocar(usuario)
    logger.warning("e-mail %s not sent at attempt %d: %s", envio.pk, envio.intentos, resumen(error))


def _abierto(envio: Envio) -> models.QuerySet[Envio]:
    """The row, while this attempt still is the one that holds it."""
    return Envio.objects.filter(pk=envio.pk, estado=Envio.Estado.ENVIANDO, intentos=envio.intentos)


def _es_definitivo(error: Exception) -> bool:
    """SMTP's 5xx for the mailbox itself, or no address; a refused sender or a login that fails is ours to mend: retried."""
    if isinstance(error, SMTPRecipientsRefused):
        return all(code >= 500 for code, _ in error.recipients.values())
    return isinstance(error, ValueError)


def resumen(error: Exception) -> str:
    """The error's class with SMTP's code and enhanced code (`SMTPRecipientsRefused 550 5.1.1`), never its text."""
    code, texto = 0, b""
    if isinstance(error, SMTPRecipientsRefused):
        code, texto = next(iter(error.recipients.values()))
    elif isinstance(error, SMTPResponseException):
        code, texto = error.smtp_code, error.smtp_error if isinstance(error.smtp_error, bytes) else b""
    ampliado = re.match(rb"[245]\.\d{1,3}\.\d{1,3}\b", texto)
    return " ".join(filter(None, [type(error).__name__, str(code or ""), ampliado[0].decode() if ampliado else ""]))
