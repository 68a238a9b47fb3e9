"""The first catalogue, Beat's schedule and the accountants' group."""

from typing import Any

from django.db import migrations

from ventas import seed


def sembrar(apps: Any, _schema_editor: Any) -> None:
    seed.sembrar(apps)


class Migration(migrations.Migration):
    dependencies = [
        ("ventas", "0001_initial"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
        ("django_celery_beat", "0019_alter_periodictasks_options"),
    ]
    operations = [migrations.RunPython(sembrar, migrations.RunPython.noop)]
