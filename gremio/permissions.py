"""Groups of staff: each app creates one in a migration, with permissions on its own models."""

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
