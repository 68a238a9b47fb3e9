"""`manage.py prepare`: create what the processes need before they start."""

from typing import Any

from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from mamochi_site.environment import text


class Command(BaseCommand):
    help = (
        "Migrate the database and create the topics. If DJANGO_SUPERUSER_USERNAME and DJANGO_SUPERUSER_PASSWORD are "
        "set, also create that admin account. Run this before each deployment; a second run changes nothing."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        call_command("migrate", interactive=False, stdout=self.stdout)
        call_command("create_topics", stdout=self.stdout)
        if username := text("DJANGO_SUPERUSER_USERNAME"):
            create_admin(username, text("DJANGO_SUPERUSER_PASSWORD"))


def create_admin(username: str, password: str) -> None:
    """Create an account with every permission; an existing account keeps its password.

    Raises CommandError for a new account without a password.
    """
    users = get_user_model()._default_manager
    if not users.filter(username=username).exists():
        if not password:
            raise CommandError("Set DJANGO_SUPERUSER_PASSWORD: DJANGO_SUPERUSER_USERNAME names a new admin.")
        get_user_model().objects.create_superuser(username=username, password=password)
