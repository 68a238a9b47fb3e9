"""Celery tasks for the e-mails. They carry ids only; a sweep finds mails whose hint was lost."""

from typing import Final
from uuid import UUID

from celery import shared_task

from gremio import mail
from gremio.clock import database_now
from inscripciones.correos import envios

SWEEP_SECONDS: Final = 30


@shared_task(soft_time_limit=mail.LONGEST_SENDING_S, time_limit=mail.KILLED_AFTER_S)
def enviar_correos(ids: list[str]) -> int:
    """Send these e-mails if they are still due; return how many were sent."""
    return sum(envios.enviar(UUID(envio_id), ahora=database_now()) for envio_id in ids)


@shared_task
def barrer_envios() -> int:
    """Queue a task for every e-mail that is due; return how many. Beat calls it twice per minute.

    The tasks expire when the next sweep repeats them.
    """
    ids = [str(envio_id) for envio_id in envios.vencidos(ahora=database_now())]
    for envio_id in ids:
        enviar_correos.apply_async(([envio_id],), expires=SWEEP_SECONDS)
    return len(ids)
