"""Two Django apps: the project itself, and django-axes under a Spanish name."""

from importlib import import_module

from axes.apps import AppConfig as AxesConfig
from django.apps import AppConfig
from django.core import checks


class MamochiSiteConfig(AppConfig):
    """An app without models, for the project's commands and templates."""

    name = "mamochi_site"

    def ready(self) -> None:
        # Celery's application exists wherever Django runs, and tasks are sent through it.
        import_module("mamochi_site.celery")
        from mamochi_site.checks import check_addresses, check_kafka_login, check_logins, check_mail

        checks.register(check_mail, "mail", deploy=True)
        checks.register(check_addresses, "mail", deploy=True)
        checks.register(check_logins, "logins", deploy=True)
        checks.register(check_kafka_login, "events")  # one of the tags that run_consumer checks


class AccesosConfig(AxesConfig):
    """django-axes under a name that staff understand."""

    verbose_name = "Accesos"
