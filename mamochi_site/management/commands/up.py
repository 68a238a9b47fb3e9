"""`./dev up`: run the whole system on this machine until Ctrl-C."""

import os
import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from deploy.embedded import Stack, StackError
from deploy.embedded.signals import interrupt_on_termination
from mamochi_site.local.system import DEFAULT_FOLDER, DEFAULT_PORT, System, report_ended_processes, running_system


class Command(BaseCommand):
    help = "Run the whole system on this machine until Ctrl-C: servers, web, consumers, worker and Beat."
    # The checks need running servers; the processes that this command starts run them.
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--dir", type=Path, default=DEFAULT_FOLDER, help="folder for data and logs (default: .mamochi)"
        )
        parser.add_argument("--brokers", type=int, choices=[1, 3], default=1, help="Kafka brokers (default: 1)")
        parser.add_argument("--port", type=int, default=DEFAULT_PORT, help="port of the web, or the next free one")
        parser.add_argument("--fresh", action="store_true", help="delete the data of the last run first")

    def handle(self, *args: Any, **options: Any) -> None:
        interrupt_on_termination()
        try:
            self._run(options)
        except StackError as error:
            raise CommandError(str(error)) from error
        except KeyboardInterrupt:
            self.stdout.write("Everything is stopped.")

    def _run(self, options: dict[str, Any]) -> None:
        stack = Stack(options["dir"], brokers=options["brokers"], fresh=options["fresh"], say=self._say)
        settings = {"REVISION_AUTOMATICA": os.environ.get("REVISION_AUTOMATICA", "false")}
        with running_system(stack, port=options["port"], settings=settings) as system:
            self._describe(system)
            reported: set[str] = set()
            while True:
                report_ended_processes(system, self._say, reported)
                time.sleep(1)

    def _say(self, message: str) -> None:
        self.stdout.write(f"  {message}")
        self.stdout.flush()

    def _describe(self, system: System) -> None:
        self.stdout.write(
            f"\nMAMOCHI runs on {system.url}\n"
            f"  API      {system.url}/api/v1/   (documentation: {system.url}/api/docs/)\n"
            f"  admin    {system.url}/admin/   user {system.admin_user}   password {system.admin_password}\n"
            f"  mailbox  {system.stack.mail.mailbox}\n"
            f"  logs     {system.stack.supervisor.logs}\n"
            f"  details  {system.stack.record_file}\n"
            "Ctrl-C stops everything."
        )
        self.stdout.flush()
