from django.apps import AppConfig
from django.core import checks


class InscripcionesConfig(AppConfig):
    name = "inscripciones"
    verbose_name = "Inscripciones"

    def ready(self) -> None:
        from inscripciones.checks import check_secret_key

        checks.register(check_secret_key, checks.Tags.database)
