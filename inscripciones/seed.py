"""The rows of a new installation: the reviewers' group and Beat's sweep of e-mails."""

from typing import Any, Final

from gremio.seed import make_group, run_every
from inscripciones.tasks import SWEEP_SECONDS

GRUPO: Final = "Revisores"
PERMISSIONS: Final = (
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


def sembrar(apps: Any) -> None:
    """Add the rows that are missing; rows that staff have changed stay as they are.

    `apps`: a migration's registry, or Django's. The migration and the tests call this same
    function.
    """
    make_group(apps, "inscripciones", GRUPO, PERMISSIONS)
    run_every(
        apps,
        SWEEP_SECONDS,
        name="Inscripciones: enviar correos pendientes",
        task="inscripciones.tasks.barrer_envios",
        description="Encuentra las credenciales y los avisos que no se han enviado.",
    )
