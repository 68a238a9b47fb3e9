"""`./dev status`: run `manage.py overview` for the stack on this machine (stack.json names it)."""

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
        "Show the state of the running stack: problems and what to do, consumers, topics. Exit 1 if there is a problem."
    )
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dir", type=Path, default=DEFAULT_FOLDER, help="the stack's folder (default: .mamochi)")
        parser.add_argument("--json", action="store_true", help="print JSON, for scripts")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            record = json.loads((options["dir"] / "stack.json").read_text())
        except FileNotFoundError as error:
            raise CommandError(
                f"No stack runs in {options['dir']}: start one with ./dev up, or give its folder with --dir."
            ) from error
        environment = {**os.environ, **record["urls"], **record["variables"]}
        argv = [*manage("overview"), *(["--json"] if options["json"] else [])]
        sys.exit(subprocess.run(argv, cwd=CHECKOUT, env=environment, check=False).returncode)
