from django.apps import AppConfig


class MamochiSiteConfig(AppConfig):
    """Holds the commands that run the whole system (up, demo); it has no models."""

    name = "mamochi_site"
