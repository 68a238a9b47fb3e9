"""The first catalogue and Beat's schedule (ventas/seed.py)."""

from typing import Any

from django.db import migrations

from ventas import seed


def sembrar(apps: Any, _schema_editor: Any) -> None:
    seed.sembrar_catalogo(apps.get_model)
    seed.sembrar_horarios(apps.get_model)


class Migration(migrations.Migration):
    dependencies = [
        ("ventas", "0001_initial"),
        ("django_celery_beat", "0019_alter_periodictasks_options"),
    ]
    operations = [migrations.RunPython(sembrar, migrations.RunPython.noop)]
