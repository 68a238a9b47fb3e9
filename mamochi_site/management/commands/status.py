"""`./dev status`: `manage.py overview` for the stack that runs on this machine, found by its stack.json."""

import json
import os
import subprocess
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from mamochi_site.local.system import CHECKOUT, DEFAULT_FOLDER, manage


class Command(BaseCommand):
    help = (
        "Tells how the running stack is: what is wrong and what to do, consumers, topics. Exits 1 where it is not well."
    )
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dir", type=Path, default=DEFAULT_FOLDER, help="the stack's folder (default: .mamochi)")
        parser.add_argument("--json", action="store_true", help="for scripts")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            record = json.loads((options["dir"] / "stack.json").read_text())
        except FileNotFoundError as error:
            raise CommandError(
                f"No stack runs in {options['dir']}: start one with ./dev up, or name its --dir."
            ) from error
        environment = {**os.environ, **record["urls"]}
        argv = [*manage("overview"), *(["--json"] if options["json"] else [])]
        sys.exit(subprocess.run(argv, cwd=CHECKOUT, env=environment, check=False).returncode)  # noqa: S603 - our own
