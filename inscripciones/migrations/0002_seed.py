"""The reviewers' group and Beat's schedule."""

from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps

from inscripciones.seed import sembrar


def forwards(apps: StateApps, _schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Call the seed function, which the tests call too."""
    sembrar(apps)


class Migration(migrations.Migration):
    dependencies = [
        ("inscripciones", "0001_initial"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
        ("django_celery_beat", "0019_alter_periodictasks_options"),
    ]
    operations = [migrations.RunPython(forwards, migrations.RunPython.noop)]
