from axes.apps import AppConfig as AxesConfig
from django.apps import AppConfig


class MamochiSiteConfig(AppConfig):
    """Holds the commands that run the whole system (up, demo); it has no models."""

    name = "mamochi_site"


class AccesosConfig(AxesConfig):
    """django-axes, under a name that staff understand."""

    verbose_name = "Accesos"
