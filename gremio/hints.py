"""Hints: Celery tasks that only make due work start sooner.

What is due stands in rows, and a periodic task (a sweep) finds it there. A lost hint therefore
delays work until the next sweep and loses nothing.
"""

import logging
import time
from typing import Final

from celery import current_app
from kombu.exceptions import OperationalError

logger = logging.getLogger(__name__)

BREAK_SECONDS: Final = 30.0


class Breaker:
    """Stops calls to Celery's broker in this process for BREAK_SECONDS after one has failed."""

    def __init__(self) -> None:
        self.closes_at = 0.0  # monotonic seconds

    @property
    def is_open(self) -> bool:
        return time.monotonic() < self.closes_at

    def open(self) -> None:
        """Stop calling the broker for BREAK_SECONDS."""
        self.closes_at = time.monotonic() + BREAK_SECONDS

    def close(self) -> None:
        """Call the broker again."""
        self.closes_at = 0.0


breaker: Final = Breaker()


def hint(task_name: str, *args: object) -> None:
    """Send a Celery task by its full name, as `ventas.tasks.enviar_reportes`, with JSON arguments.

    When Celery's broker is down, the call logs a warning and raises nothing. For BREAK_SECONDS all
    later calls then return at once, so that no request or consumer waits for a connection.
    """
    if breaker.is_open:
        return
    try:
        current_app.send_task(task_name, args, retry=False)
    except OperationalError:
        breaker.open()
        logger.warning("Celery's broker is down: the next sweep will do the work of %s", task_name)
