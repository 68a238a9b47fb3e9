"""The Celery application. Tasks are hints: a sweep over rows is the truth (see each app's tasks.py)."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mamochi_site.settings")

app = Celery("mamochi")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()

from mamochi_site import worker  # noqa: E402 - connects its signals

app.steps["worker"].add(worker.Probe)
app.steps["consumer"].add(worker.MainLoop)
