"""`manage.py demo`: becomes the program `mamochi_site.demo`, whose settings are read after its stack has chosen its ports."""

import os
import sys
from typing import NoReturn

from django.conf import settings
from django.core.management.base import BaseCommand


class Command(BaseCommand):
    help = "Plays the guild's whole loop live on an embedded stack of its own, and audits the outcome: see --help."

    def run_from_argv(self, argv: list[str]) -> NoReturn:
        """Replaces this process, in which Django has read its settings already; all arguments are the program's."""
        environment = {**os.environ, "PYTHONPATH": str(settings.BASE_DIR)}
        os.execve(sys.executable, [sys.executable, "-m", "mamochi_site.demo", *argv[2:]], environment)  # noqa: S606
