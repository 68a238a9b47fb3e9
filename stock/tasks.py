"""The Celery task of the sweep. Beat starts it; seed.py has the first schedule."""

from celery import shared_task
from django.utils import timezone

from stock import avisos


@shared_task
def revisar_avisos() -> None:
    """Decide the notices that waited for sales to be counted, and raise the ones that are missing.

    It looks at rows, so a run that is skipped loses nothing: the next run does its work.
    """
    avisos.revisar(ahora=timezone.now())
