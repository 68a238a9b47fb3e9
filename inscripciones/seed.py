"""What this app needs in a new database: the reviewers' group and the sweep of e-mails in Beat's schedule."""

from typing import Any, Final

from gremio.permissions import make_group
from inscripciones.tasks import SWEEP_SECONDS

GRUPO: Final = "Revisores"
PERMISOS: Final = (
    "view_inscripcion",
    "aprobar_inscripcion",
    "rechazar_inscripcion",
    "view_comprobante",
    "view_maestro",
    "reenviar_credenciales",
    "anular_credenciales",
    "corregir_correo",
    "dar_de_baja_maestro",
    "reactivar_maestro",
    "view_envio",
    "change_envio",
)
BARRIDO: Final = "inscripciones.tasks.barrer_envios"


def sembrar(apps: Any) -> None:
    """Idempotent. `apps`: a migration's registry, or Django's. What staff changed since stays as they left it."""
    make_group(apps, "inscripciones", GRUPO, PERMISOS)
    _barrido(apps)


def _barrido(apps: Any) -> None:
    intervalos = apps.get_model("django_celery_beat", "IntervalSchedule").objects
    intervalo = intervalos.filter(every=SWEEP_SECONDS, period="seconds").first()
    apps.get_model("django_celery_beat", "PeriodicTask").objects.get_or_create(
        name="Inscripciones: enviar correos pendientes",
        defaults={
            "task": BARRIDO,
            "interval": intervalo or intervalos.create(every=SWEEP_SECONDS, period="seconds"),
            "expire_seconds": SWEEP_SECONDS,
            "description": "Encuentra las credenciales y los avisos que no se han enviado.",
        },
    )
