"""What Celery Beat starts (schedule: seed.py, edited in the admin). A task is a hint; the rows are the truth."""

from celery import shared_task
from django.utils import timezone

from stock import reposicion


@shared_task
def revisar_avisos() -> None:
    """Decides notices that waited for sales to be counted, and raises those that nobody raised."""
    reposicion.revisar(ahora=timezone.now())
