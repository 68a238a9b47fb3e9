from django.db import migrations

from stock.seed import sembrar


class Migration(migrations.Migration):
    dependencies = [("stock", "0001_initial"), ("django_celery_beat", "0019_alter_periodictasks_options")]
    operations = [migrations.RunPython(lambda apps, _: sembrar(apps), migrations.RunPython.noop, elidable=False)]
