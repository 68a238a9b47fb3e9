"""Mailboxes and receipt keys of the rows there were; who could do everything with credentials still can."""

from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps

from gremio.permissions import make_permissions
from inscripciones.normalizacion import buzon, clave_de_comprobante

NUEVOS = ("anular_credenciales", "corregir_correo", "dar_de_baja_maestro", "reactivar_maestro")


def forwards(apps: StateApps, _schema_editor: BaseDatabaseSchemaEditor) -> None:
    _mailboxes(apps)
    _receipts(apps)
    _permissions(apps)


def _mailboxes(apps: StateApps) -> None:
    model = apps.get_model("inscripciones", "Inscripcion")
    while rows := list(model.objects.filter(buzon="").only("email")[:2_000]):
        for row in rows:
            row.buzon = buzon(row.email)
        model.objects.bulk_update(rows, ["buzon"])


def _receipts(apps: StateApps) -> None:
    """Of two spellings of one receipt, the enrolment that came first keeps it."""
    model = apps.get_model("inscripciones", "Comprobante")
    rows = list(model.objects.order_by("-inscripcion__recibida_en"))
    first = {clave_de_comprobante(row.codigo): row.inscripcion_id for row in rows}
    model.objects.all().delete()
    model.objects.bulk_create([model(codigo=key, inscripcion_id=pk) for key, pk in first.items() if key])


def _permissions(apps: StateApps) -> None:
    make_permissions(apps, "inscripciones")
    permissions = apps.get_model("auth", "Permission").objects.filter(content_type__app_label="inscripciones")
    permissions.filter(codename="reenviar_credenciales").update(name="Puede reenviar credenciales")
    old, new = permissions.get(codename="reenviar_credenciales"), permissions.filter(codename__in=NUEVOS)
    for group in old.group_set.all():
        group.permissions.add(*new)
    for user in old.user_set.all():
        user.user_permissions.add(*new)


class Migration(migrations.Migration):
    dependencies = [("inscripciones", "0005_mailboxes_and_joined")]
    operations = [migrations.RunPython(forwards, migrations.RunPython.noop)]
