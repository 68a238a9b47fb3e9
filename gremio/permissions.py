"""Groups of staff, which each app makes in a migration with permissions of its own."""

from collections.abc import Collection
from typing import Any

from django.contrib.auth.management import create_permissions


def make_group(apps: Any, app_label: str, name: str, codenames: Collection[str]) -> None:
    """Makes the group where it is missing; one that is there stays as staff left it. `apps`: a migration's, or Django's."""
    make_permissions(apps, app_label)
    group, made = apps.get_model("auth", "Group").objects.get_or_create(name=name)
    if made:
        permissions = apps.get_model("auth", "Permission").objects.filter(content_type__app_label=app_label)
        group.permissions.set(permissions.filter(codename__in=codenames))


def make_permissions(apps: Any, app_label: str) -> None:
    """Those of the app's models: Django makes them after all migrations, too late for a group."""
    app_config = apps.get_app_config(app_label)
    if not getattr(app_config, "models_module", None):
        app_config.models_module = True  # a migration's app has none, and would be passed over for it
    create_permissions(app_config, apps=apps, verbosity=0)
