"""`python -m mamochi_site.local.demo`: starts the stack, then Django with the stack's URLs, then the show."""

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
from mamochi_site.local.system import CHECKOUT, DEFAULT_PORT, System, report_deaths, running_system

DEFAULT_FOLDER: Final = CHECKOUT / ".mamochi" / "demo"
INTERRUPTED: Final = 130  # as shells say it: 128 + SIGINT
LINE_WIDTH: Final = 130  # where the output is no terminal


def main() -> int:
    """Plays the demo; returns the exit code: 0 audit green, 1 a mismatch or a failure, 130 interrupted."""
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
        description="Plays the guild's whole loop live on an embedded stack of its own and audits the outcome. "
        "Exit code: 0 when every check is green, 1 otherwise, 130 after Ctrl-C.",
    )
    parser.add_argument("--fast", action="store_true", help="the same story about thirty times as fast")
    parser.add_argument("--brokers", type=int, choices=[1, 3], default=1, help="Kafka brokers (default: 1)")
    parser.add_argument("--keep", action="store_true", help="after the audit leave everything running until Ctrl-C")
    parser.add_argument("--seed", type=int, help="same people, products and pauses again (default: random)")
    parser.add_argument("--dir", type=Path, default=DEFAULT_FOLDER, help="its folder; old data in it is removed")
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, help="the web's, or the next free one")
    parser.add_argument("--picture", type=Path, help="save the dashboard in the middle of the run as this SVG file")
    options = parser.parse_args()
    options.seed = secrets.randbelow(10**6) if options.seed is None else options.seed
    return options


def _run(options: argparse.Namespace, console: Console) -> int:
    if os.environ.get("EMAIL_URL"):
        raise StackError("The demo reads the mails that arrive, so it needs its own mailbox: unset EMAIL_URL.")
    console.print(f"MAMOCHI demo, seed {options.seed}, data in {options.dir}", markup=False, soft_wrap=True)
    stack = Stack(
        options.dir,
        brokers=options.brokers,
        fresh=True,
        say=lambda text: console.print(f"  {text}", markup=False, soft_wrap=True),
    )
    with running_system(stack, port=options.port, settings={"REVISION_AUTOMATICA": "true"}) as system:
        green = _perform(system, options, console)
        if options.keep:
            _keep(system, console)
    return 0 if green else 1


def _perform(system: System, options: argparse.Namespace, console: Console) -> bool:
    """Only now are the URLs known that Django's settings read."""
    os.environ.update(system.environment)
    django.setup()
    from mamochi_site.local.demo.director import DemoFailed, Director

    try:
        return Director(system, options, console).play()
    except DemoFailed as error:
        console.print(f"./dev demo: {error}", style="bold red", markup=False, soft_wrap=True)
        return False


def _keep(system: System, console: Console) -> None:
    """Until Ctrl-C, which is here the ordinary end."""
    console.print(
        f"\nSigue corriendo en {system.url}/api/v1/ hasta Ctrl-C\n"
        f"  admin    {system.url}/admin/   usuario {system.admin_user}   clave {system.admin_password}\n"
        f"  correos  {system.stack.mail.mailbox}\n"
        f"  datos    {system.stack.record_file}",
        markup=False,
        soft_wrap=True,
    )
    told: set[str] = set()
    try:
        while True:
            report_deaths(system, lambda text: console.print(text, markup=False, soft_wrap=True), told)
            time.sleep(1)
    except KeyboardInterrupt:
        return


if __name__ == "__main__":
    sys.exit(main())
