"""`manage.py prepare`: what must be there before the first process starts."""

import os
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.management.base import BaseCommand


class Command(BaseCommand):
    help = (
        "Migrates the database and makes the topics. With DJANGO_SUPERUSER_USERNAME and DJANGO_SUPERUSER_PASSWORD set, "
        "also makes that admin account. Run it before each deployment; a rerun changes nothing."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        call_command("migrate", interactive=False, stdout=self.stdout)
        call_command("create_topics", stdout=self.stdout)
        if username := os.environ.get("DJANGO_SUPERUSER_USERNAME"):
            make_admin(username, os.environ["DJANGO_SUPERUSER_PASSWORD"])


def make_admin(username: str, password: str) -> None:
    """An account that may do everything in the admin; an existing one keeps the password it has."""
    users = get_user_model()._default_manager
    if not users.filter(username=username).exists():
        get_user_model().objects.create_superuser(username=username, password=password)
