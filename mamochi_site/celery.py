"""The Celery application.

Most tasks are only hints that there is work. If one is lost, a periodic task (a sweep) finds that
work in the rows (see each app's tasks.py).
"""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mamochi_site.settings")

app = Celery("mamochi", task_cls="mamochi_site.background.task:Task")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()

# Importing the module connects its signal handlers.
from mamochi_site.background import worker  # noqa: E402 - after the settings module is named

app.steps["worker"].add(worker.ProbeServer)
app.steps["consumer"].add(worker.MainLoopPulse)
