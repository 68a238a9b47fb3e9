"""`manage.py asyncapi`: write the AsyncAPI document that /api/asyncapi/ serves."""

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from kafka_bridge.docs import asyncapi


class Command(BaseCommand):
    help = "Write the AsyncAPI 3 document of all events, topics and consumers as JSON."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--output", type=Path, help="write to this file instead of standard output")

    def handle(self, *args: Any, **options: Any) -> None:
        text = json.dumps(asyncapi.document(), indent=2, ensure_ascii=False)
        if options["output"] is None:
            self.stdout.write(text)
            return
        try:
            options["output"].write_text(text + "\n")
        except OSError as error:
            raise CommandError(f"{options['output']} cannot be written: {error.strerror}") from error
        self.stdout.write(f"Wrote {options['output']}.")
