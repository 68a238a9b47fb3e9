"""Celery's side of the accounts. Tasks are hints: what is due is found in the rows, whoever calls, as often as they like."""

import logging
from datetime import datetime
from typing import Final

from celery import Task, shared_task
from django.utils import timezone
from kombu.exceptions import OperationalError

from ventas import calendario
from ventas.semanas import cierre, envios

logger = logging.getLogger(__name__)

SEGUNDOS_ENTRE_INTENTOS: Final = 2
INTENTOS: Final = 30  # a minute's worth: then Beat's next round goes on


@shared_task(bind=True, max_retries=INTENTOS)
def cerrar_semanas(self: "Task[..., int]", semana: str = "", hasta: str = "") -> int:
    """Closes the weeks that are due, missed ones too, and the one that is named, and has their e-mails sent.

    `semana` as 2026-W48 and `hasta`, an ISO 8601 moment, close a running week early. A week that is not complete is
    tried again every few seconds for a minute, then by Beat's next round. Returns how many of them are closed.
    """
    ahora = timezone.now()
    explicita = {calendario.lunes_de_codigo(semana): _momento(hasta)} if semana else {}
    por_cerrar = dict.fromkeys(cierre.semanas_vencidas(ahora=ahora)) | explicita
    cerradas = [cierre.cerrar_semana(lunes, ahora=ahora, hasta=por_cerrar[lunes]) for lunes in sorted(por_cerrar)]
    if any(cerradas):
        insinuar_envio()
    if not all(cerradas) and self.request.retries < INTENTOS:
        raise self.retry(countdown=SEGUNDOS_ENTRE_INTENTOS)
    return sum(cerradas)


def _momento(texto: str) -> datetime | None:
    """An ISO 8601 moment, Chilean time where it names no offset; None where it is empty. Raises ValueError."""
    if not texto:
        return None
    momento = datetime.fromisoformat(texto)
    return momento if momento.tzinfo else momento.replace(tzinfo=calendario.CHILE)


def insinuar_envio() -> None:
    """Tells a worker that e-mails are due. With Celery's broker down it only logs: the sweep finds them."""
    try:
        enviar_reportes.apply_async(retry=False)
    except OperationalError:
        logger.warning("Celery's broker is down: the sweep will send the reports")


@shared_task
def enviar_reportes() -> int:
    """Sends the weekly e-mails that are due, a turn long; then asks for another, behind the tasks that wait. Returns how many."""
    barrido = envios.enviar_pendientes()
    if barrido.siguen:
        insinuar_envio()
    return barrido.enviados
