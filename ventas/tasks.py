"""Celery tasks of the accounts.

The tasks find in the rows what is due. So a task may be lost, or run at any time or twice.
"""

from typing import Final

from celery import Task, shared_task

from gremio import clock, mail
from gremio.hints import hint
from ventas.semanas import cierre, mailer

RETRY_SECONDS: Final = 2
RETRIES: Final = 30  # for a minute; afterwards the next run of Beat continues
SERVER_RETRIES: Final = 1
SERVER_AGAIN_SECONDS: Final = 20  # a mail server that is back is used within a minute


@shared_task(bind=True, max_retries=RETRIES)
def cerrar_semanas(self: "Task[..., int]", semana: str = "", hasta: str = "") -> int:
    """Close the weeks that are due and the given one; return how many of them are closed.

    `semana` (2026-W48) and `hasta` (an ISO 8601 moment) close a running week early. An incomplete
    week is tried again every few seconds for a minute, then by the next run of Beat. One clock that
    is ahead, this machine's or the database's, closes no week early.
    """
    closed = cierre.cerrar_vencidas(ahora=clock.earlier_now(), semana=semana, hasta=hasta)
    if any(closed):
        hint_sending()
    if not all(closed) and self.request.retries < RETRIES:
        raise self.retry(countdown=RETRY_SECONDS)
    return sum(closed)


@shared_task(
    bind=True, max_retries=SERVER_RETRIES, soft_time_limit=mail.LONGEST_SENDING_S, time_limit=mail.KILLED_AFTER_S
)
def enviar_reportes(self: "Task[..., int]") -> int:
    """Send the weekly e-mails that are due, for some seconds; return how many were sent.

    If more are due, another task continues, behind the tasks that wait already. If no server
    answers, it is tried again once before Beat's next run.
    """
    sweep = mailer.enviar_pendientes()
    if sweep.unfinished:
        hint_sending()
    if sweep.no_server and self.request.retries < SERVER_RETRIES:
        raise self.retry(countdown=SERVER_AGAIN_SECONDS)
    return sweep.sent


def hint_sending() -> None:
    """Ask a worker to send the e-mails that are due.

    If Celery's broker is down, the next run of Beat does it.
    """
    hint("ventas.tasks.enviar_reportes")
