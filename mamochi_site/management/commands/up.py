"""`./dev up`: the whole system on this machine until Ctrl-C."""

import os
import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from deploy.embedded import Stack, StackError
from deploy.embedded.signals import interrupt_on_termination
from mamochi_site.local.system import DEFAULT_FOLDER, DEFAULT_PORT, System, report_deaths, running_system


class Command(BaseCommand):
    help = "Runs the whole system on this machine until Ctrl-C: servers, web, consumers, worker and Beat."
    requires_system_checks = []  # they need servers; the processes that it starts make them

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dir", type=Path, default=DEFAULT_FOLDER, help="its folder (default: .mamochi)")
        parser.add_argument("--brokers", type=int, choices=[1, 3], default=1, help="Kafka brokers (default: 1)")
        parser.add_argument("--port", type=int, default=DEFAULT_PORT, help="the web's, or the next free one")
        parser.add_argument("--fresh", action="store_true", help="begin without the data of the last run")

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
            told: set[str] = set()
            while True:
                report_deaths(system, self._say, told)
                time.sleep(1)

    def _say(self, message: str) -> None:
        self.stdout.write(f"  {message}")
        self.stdout.flush()

    def _describe(self, system: System) -> None:
        self.stdout.write(
            f"\nMAMOCHI runs on {system.url}\n"
            f"  API      {system.url}/api/v1/   (its description: {system.url}/api/docs/)\n"
            f"  admin    {system.url}/admin/   user {system.admin_user}   password {system.admin_password}\n"
            f"  mailbox  {system.stack.mail.mailbox}\n"
            f"  logs     {system.stack.supervisor.logs}\n"
            f"  facts    {system.stack.record_file}\n"
            "Ctrl-C stops everything."
        )
        self.stdout.flush()
