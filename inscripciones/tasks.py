"""Celery's side of the e-mails. Tasks are hints that carry ids only: `barrer_envios` finds whatever a hint missed."""

import logging
import time
from collections.abc import Iterable
from typing import Final
from uuid import UUID

from celery import shared_task
from django.utils import timezone
from kombu.exceptions import OperationalError

logger = logging.getLogger(__name__)

SWEEP_SECONDS: Final = 60
HINT_BREAK_SECONDS: Final = 30.0
_hints_from = 0.0  # monotonic seconds; until then Celery's broker is taken to be down


@shared_task
def enviar_correos(ids: list[str]) -> int:
    """Sends these e-mails, where they are still owed. Returns how many went out."""
    from inscripciones import envios

    return sum(envios.enviar(UUID(envio_id), ahora=timezone.now()) for envio_id in ids)


@shared_task
def barrer_envios() -> int:
    """Hints at every e-mail that is due, each minute (Beat). Returns how many."""
    from inscripciones import envios

    ids = [str(envio_id) for envio_id in envios.vencidos(ahora=timezone.now())]
    for envio_id in ids:
        enviar_correos.apply_async(([envio_id],), expires=SWEEP_SECONDS)  # the next sweep would hint at it again
    return len(ids)


def insinuar(ids: Iterable[UUID]) -> None:
    """Tells a worker that these e-mails are due. With Celery's broker down it only logs: the sweep finds them."""
    global _hints_from  # noqa: PLW0603 - a breaker is a process's own
    if time.monotonic() < _hints_from:
        return
    try:
        enviar_correos.apply_async(([str(envio_id) for envio_id in ids],), retry=False)
    except OperationalError:
        _hints_from = time.monotonic() + HINT_BREAK_SECONDS
        logger.warning("Celery's broker is down: the sweep will send what is owed")
