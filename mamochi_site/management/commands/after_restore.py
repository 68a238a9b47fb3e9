"""`manage.py after_restore`: the last step of restoring a backup (docs/restore.md)."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from mamochi_site.restore import ReplayUnfinished, finish_restore


class Command(BaseCommand):
    help = (
        "Run this after a backup was restored and the consumers have replayed what the backup lacked, before worker, "
        "Beat and web start. It voids every token and session, and holds the e-mails that may have been sent already."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--send-credentials",
            action="store_true",
            help="send every maestro new credentials as soon as the worker runs",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            done = finish_restore(send_credentials=options["send_credentials"])
        except ReplayUnfinished as error:
            raise CommandError(f"Not yet: {error}. Let the consumers run, then try again.") from error
        self.stdout.write(f"{done.tokens_voided} tokens voided.")
        self.stdout.write(f"{done.mails_held} e-mails held: see the admin, resend what is missing.")
        state = "will be sent" if options["send_credentials"] else "are held (--send-credentials sends them)"
        self.stdout.write(f"New credentials for {done.credentials} maestros {state}. Now start worker, Beat and web.")
