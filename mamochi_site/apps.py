"""The Django app of the project itself, and django-axes under a Spanish name."""

from axes.apps import AppConfig as AxesConfig
from django.apps import AppConfig


class MamochiSiteConfig(AppConfig):
    """An app without models, for the project's commands and templates."""

    name = "mamochi_site"


class AccesosConfig(AxesConfig):
    """django-axes under a name that staff understand."""

    verbose_name = "Accesos"
