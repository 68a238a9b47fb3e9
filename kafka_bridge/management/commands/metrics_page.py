"""`manage.py metrics_page`: write the page that explains every metric and alert."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from kafka_bridge.monitoring import metrics_page


class Command(BaseCommand):
    help = "Write the page that explains every metric and alert."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("page", type=Path, help="the file to write, in Markdown")
        parser.add_argument("rules", type=Path, help="the alert rules of Prometheus, in YAML")
        parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if the page is out of date")

    def handle(self, *args: Any, page: Path, rules: Path, check: bool, **options: Any) -> None:
        try:
            text = metrics_page.page(rules)
        except OSError as error:
            raise CommandError(f"Cannot read the alert rules: {error}.") from error
        if not check:
            page.write_text(text)
            self.stdout.write(f"Wrote {page}.")
        elif not page.exists() or page.read_text() != text:
            raise CommandError(f"{page} is out of date: run manage.py metrics_page {page} {rules}.")
