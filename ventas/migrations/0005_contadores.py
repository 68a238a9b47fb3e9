"""The accountants' group."""

from django.db import migrations

from ventas.seed import sembrar_grupo


class Migration(migrations.Migration):
    dependencies = [
        ("ventas", "0004_mails_on_hold"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]
    operations = [migrations.RunPython(lambda apps, _: sembrar_grupo(apps), migrations.RunPython.noop)]
