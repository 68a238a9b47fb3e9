"""`manage.py metrics_page`: writes docs/metricas.md."""

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from kafka_bridge.monitoring import metrics_page


class Command(BaseCommand):
    help = "Writes the page that explains every metric and alert."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--check", action="store_true", help="write nothing; exit 1 where the page is out of date")

    def handle(self, *args: Any, **options: Any) -> None:
        path, text = settings.BASE_DIR / metrics_page.PAGE, metrics_page.page(settings.BASE_DIR)
        if not options["check"]:
            path.write_text(text)
            self.stdout.write(f"wrote {metrics_page.PAGE}")
        elif not path.exists() or path.read_text() != text:
            raise CommandError(f"{metrics_page.PAGE} is out of date: run manage.py metrics_page.")
