"""`manage.py prepare`: create what the processes need before they start."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final
from zlib import crc32

from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import connection

from mamochi_site.environment import text

LOCK: Final = crc32(b"manage.py prepare")
# Of a transaction; PostgreSQL before 17 lacks the last one.
LIMITS: Final = ["statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "transaction_timeout"]


class Command(BaseCommand):
    help = (
        "Migrate the database and create the topics. If DJANGO_SUPERUSER_USERNAME and DJANGO_SUPERUSER_PASSWORD are "
        "set, also create that admin account. Run this before each deployment; a second run changes nothing."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        with alone():
            call_command("migrate", interactive=False, stdout=self.stdout)
            call_command("check", databases=["default"], stdout=self.stdout)
            call_command("create_topics", stdout=self.stdout)
            if username := text("DJANGO_SUPERUSER_USERNAME"):
                create_admin(username, text("DJANGO_SUPERUSER_PASSWORD"))


@contextmanager
def alone() -> Iterator[None]:
    """Let no other `prepare` run in the block: two at once would create the same tables.

    The lock belongs to a transaction and not to a session, which a pool may give to others. No
    limit of the database's role ends that transaction: migrating may take long.
    """
    own = connection.copy()
    try:
        own.set_autocommit(False)
        with own.cursor() as cursor:
            cursor.execute("SELECT set_config(name, '0', true) FROM pg_settings WHERE name = ANY(%s)", [LIMITS])
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
        yield
    finally:
        own.close()


def create_admin(username: str, password: str) -> None:
    """Create an account with every permission; an existing account keeps its password.

    Raises CommandError for a new account without a password.
    """
    users = get_user_model()._default_manager
    if not users.filter(username=username).exists():
        if not password:
            raise CommandError("Set DJANGO_SUPERUSER_PASSWORD: DJANGO_SUPERUSER_USERNAME names a new admin.")
        get_user_model().objects.create_superuser(username=username, password=password)
