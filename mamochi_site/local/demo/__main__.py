"""`python -m mamochi_site.local.demo`: start the stack, then Django, then the demo."""

import argparse
import os
import secrets
import sys
import time
from pathlib import Path
from typing import Final

import django
from rich.console import Console

from deploy.embedded import Stack, StackError
from deploy.embedded.signals import interrupt_on_termination
from mamochi_site.local.demo.scene import Pace
from mamochi_site.local.system import CHECKOUT, DEFAULT_PORT, System, report_ended_processes, running_system

DEFAULT_FOLDER: Final = CHECKOUT / ".mamochi" / "demo"
# The exit code that shells use: 128 + SIGINT.
INTERRUPTED: Final = 130
# Columns when the output is not a terminal.
LINE_WIDTH: Final = 130


def main() -> int:
    """Play the demo and return the exit code.

    0: the audit passed; 1: a check or the demo itself failed; 130: interrupted by Ctrl-C.
    """
    options = _options()
    console = Console() if sys.stdout.isatty() else Console(width=LINE_WIDTH)
    interrupt_on_termination()
    try:
        return _run(options, console)
    except StackError as error:
        console.print(f"./dev demo: {error}", style="red", markup=False, soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        console.print("Interrumpido: todo está detenido.")
        return INTERRUPTED


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="./dev demo",
        description="Play the guild's whole loop live on a separate embedded stack and audit the outcome. "
        "Exit code: 0 if every check passes, 1 otherwise, 130 after Ctrl-C.",
    )
    parser.add_argument("--fast", action="store_true", help="play the same story about thirty times as fast")
    parser.add_argument("--brokers", type=int, choices=[1, 3], default=1, help="Kafka brokers (default: 1)")
    parser.add_argument("--keep", action="store_true", help="after the audit, leave everything running until Ctrl-C")
    parser.add_argument("--seed", type=int, help="repeat the people, products and pauses of a run (default: random)")
    parser.add_argument(
        "--dir", type=Path, default=DEFAULT_FOLDER, help="folder for data and logs; old data is deleted"
    )
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, help="port of the web, or the next free one")
    parser.add_argument("--picture", type=Path, help="save the dashboard in the middle of the run to this SVG file")
    options = parser.parse_args()
    options.seed = secrets.randbelow(10**6) if options.seed is None else options.seed
    options.pace = Pace.fast() if options.fast else Pace.real()
    return options


def _run(options: argparse.Namespace, console: Console) -> int:
    if os.environ.get("EMAIL_URL"):
        raise StackError("The demo reads the e-mails that arrive, so it needs its own mailbox: unset EMAIL_URL.")
    console.print(f"MAMOCHI demo, seed {options.seed}, data in {options.dir}", markup=False, soft_wrap=True)
    stack = Stack(
        options.dir,
        brokers=options.brokers,
        fresh=True,
        say=lambda text: console.print(f"  {text}", markup=False, soft_wrap=True),
    )
    with running_system(stack, port=options.port, settings={"REVISION_AUTOMATICA": "true"}) as system:
        passed = _perform(system, options, console)
        if options.keep:
            _keep_running(system, console)
    return 0 if passed else 1


def _perform(system: System, options: argparse.Namespace, console: Console) -> bool:
    """Set up Django with the stack's URLs, play, and return True if the audit passes."""
    os.environ.update(system.environment)
    django.setup()
    from mamochi_site.local.demo.director import DemoFailed, Director

    try:
        return Director(system, options, console).play()
    except DemoFailed as error:
        console.print(f"./dev demo: {error}", style="bold red", markup=False, soft_wrap=True)
        return False


def _keep_running(system: System, console: Console) -> None:
    """Wait for Ctrl-C, which is the normal end here, and report processes that end before."""
    console.print(
        f"\nSigue corriendo en {system.url}/api/v1/ hasta Ctrl-C\n"
        f"  admin    {system.url}/admin/   usuario {system.admin_user}   clave {system.admin_password}\n"
        f"  correos  {system.stack.mail.mailbox}\n"
        f"  datos    {system.stack.record_file}",
        markup=False,
        soft_wrap=True,
    )
    reported: set[str] = set()
    try:
        while True:
            report_ended_processes(system, lambda text: console.print(text, markup=False, soft_wrap=True), reported)
            time.sleep(1)
    except KeyboardInterrupt:
        return


if __name__ == "__main__":
    sys.exit(main())
