"""Rows that the apps' seeds add: groups of staff, and tasks in Celery Beat's schedule.

Both may be edited in the admin. A row that exists stays as it is.
"""

from collections.abc import Collection
from typing import Any

from django.contrib.auth.management import create_permissions


def make_group(apps: Any, app_label: str, name: str, codenames: Collection[str]) -> None:
    """Make a group with these permissions if it is missing; an existing one stays as it is.

    `apps`: a migration's registry, or Django's.
    """
    _make_permissions(apps, app_label)
    group, created = apps.get_model("auth", "Group").objects.get_or_create(name=name)
    if created:
        permissions = apps.get_model("auth", "Permission").objects.filter(content_type__app_label=app_label)
        group.permissions.set(permissions.filter(codename__in=codenames))


def _make_permissions(apps: Any, app_label: str) -> None:
    """Make the permissions of the app's models.

    Django makes them after all migrations, which is too late for a group.
    """
    app_config = apps.get_app_config(app_label)
    if not getattr(app_config, "models_module", None):
        # Django skips apps without a models module, and a migration's app has none.
        app_config.models_module = True
    create_permissions(app_config, apps=apps, verbosity=0)


def run_every(apps: Any, seconds: int, *, name: str, task: str, description: str) -> None:
    """Add a periodic task if no row has that name; each call expires when the next one is due.

    `apps`: a migration's registry, or Django's. `name` and `description` are shown to staff, in
    Spanish.
    """
    intervals = apps.get_model("django_celery_beat", "IntervalSchedule").objects
    period = {"every": seconds, "period": "seconds"}
    apps.get_model("django_celery_beat", "PeriodicTask").objects.get_or_create(
        name=name,
        defaults={
            "task": task,
            # Beat's table allows several equal intervals: take the first one.
            "interval": intervals.filter(**period).first() or intervals.create(**period),
            "expire_seconds": seconds,
            "description": description,
        },
    )
