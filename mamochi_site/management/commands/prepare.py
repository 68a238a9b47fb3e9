"""`manage.py prepare`: create what the processes need before they start."""

from typing import Any

from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.management.base import BaseCommand

from mamochi_site.settings import env


class Command(BaseCommand):
    help = (
        "Migrate the database and create the topics. If DJANGO_SUPERUSER_USERNAME and DJANGO_SUPERUSER_PASSWORD are "
        "set, also create that admin account. Run this before each deployment; a second run changes nothing."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        call_command("migrate", interactive=False, stdout=self.stdout)
        call_command("create_topics", stdout=self.stdout)
        # Like every variable, each of the two may be a file (DJANGO_SUPERUSER_PASSWORD_FILE).
        if username := env.str("DJANGO_SUPERUSER_USERNAME", default=""):
            create_admin(username, env.str("DJANGO_SUPERUSER_PASSWORD"))


def create_admin(username: str, password: str) -> None:
    """Create an account with every permission; an existing account keeps its password."""
    users = get_user_model()._default_manager
    if not users.filter(username=username).exists():
        get_user_model().objects.create_superuser(username=username, password=password)
