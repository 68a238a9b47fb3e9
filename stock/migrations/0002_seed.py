"""The rows that a new installation starts with (stock/seed.py)."""

from typing import Any

from django.db import migrations

from stock import seed


def sembrar(apps: Any, _schema_editor: Any) -> None:
    seed.sembrar(apps)


class Migration(migrations.Migration):
    dependencies = [
        ("stock", "0001_initial"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
        ("django_celery_beat", "0019_alter_periodictasks_options"),
    ]
    operations = [migrations.RunPython(sembrar, migrations.RunPython.noop)]
