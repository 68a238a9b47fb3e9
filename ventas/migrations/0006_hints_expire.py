"""Beat's hints expire (ventas/seed.py), and weeks that are closing measure anew where the topics end, now with their ids."""

from typing import Any

from django.db import migrations

from ventas import seed


def vencer(apps: Any, _schema_editor: Any) -> None:
    horarios = apps.get_model("django_celery_beat", "PeriodicTask").objects
    horarios.filter(name__in=seed.HORARIOS, expires=None, expire_seconds=None).update(
        expire_seconds=seed.SEGUNDOS_DE_VIGENCIA
    )


def medir_de_nuevo(apps: Any, _schema_editor: Any) -> None:
    apps.get_model("ventas", "Semana").objects.filter(estado="cerrando").update(estado="abierta", fines=None)


class Migration(migrations.Migration):
    dependencies = [("ventas", "0005_contadores")]
    operations = [
        migrations.RunPython(vencer, migrations.RunPython.noop),
        migrations.RunPython(medir_de_nuevo, migrations.RunPython.noop),
    ]
