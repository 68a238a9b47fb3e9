"""`python -m mamochi_site.local.compose`: build, start, play with a broker killed, stop, remove."""

import argparse
import fcntl
import hashlib
import os
import secrets
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

import django
from rich.console import Console
from rich.table import Table

from deploy.containers.engine import engine
from deploy.embedded import StackError
from deploy.embedded.ports import next_free_port
from deploy.embedded.signals import interrupt_on_termination
from mamochi_site.local.compose import checks
from mamochi_site.local.compose.files import BROKERS, Files
from mamochi_site.local.compose.system import ComposeSystem, Ended, running_compose
from mamochi_site.local.demo.scene import Pace
from mamochi_site.local.system import CHECKOUT

DEFAULT_FOLDER: Final = CHECKOUT / ".mamochi" / "compose"
DEFAULT_PORT: Final = 8000
INTERRUPTED: Final = 130  # as shells have it: 128 + SIGINT
LINE_WIDTH: Final = 130  # columns when the output is not a terminal
# How many times as long as on the embedded system the demo waits: containers share few cores.
PATIENCE: Final = 4.0
# The broker that is killed, and the share of all sales that is made before.
VICTIM: Final = BROKERS[1]
KILL_AT: Final = 0.4


def main() -> int:
    """Run the command and return its exit code.

    0: every check passed; 1: something failed; 130: interrupted by Ctrl-C.
    """
    options = _options()
    console = Console() if sys.stdout.isatty() else Console(width=LINE_WIDTH)
    interrupt_on_termination()
    began = time.monotonic()

    def say(text: str) -> None:
        console.print(f"[{time.monotonic() - began:5.0f} s] {text}", markup=False, highlight=False, soft_wrap=True)

    try:
        with _only_one(), engine(CHECKOUT, say, force_own=options.own_engine) as docker:
            files = Files(
                options.dir.resolve(), _project(), next_free_port(options.port), options.image, options.monitoring
            )
            with running_compose(docker, files, say) as system:
                return 0 if _check(system, options, console) else 1
    except StackError as error:
        console.print(f"./dev compose: {error}", style="red", markup=False, soft_wrap=True)
        return 1
    except TimeoutError as error:
        console.print(f"./dev compose: {error}; see {options.dir}/logs", style="red", markup=False, soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        console.print("Interrupted: everything is removed.")
        return INTERRUPTED


@contextmanager
def _only_one() -> Iterator[None]:
    """Raise StackError if the command already runs in this checkout: both would use one project."""
    path = CHECKOUT / ".mamochi" / "compose.lock"
    path.parent.mkdir(exist_ok=True)
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StackError("It already runs in this checkout: stop it first.") from None
        yield


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="./dev compose",
        description="Build the image, start deploy/compose (three brokers, PostgreSQL, Valkey, each process), play "
        "the demo through the published port while a broker is killed, audit the outcome, stop every process, and "
        "remove everything. Uses this machine's Docker; on Debian as root it brings its own engine where there is "
        "none. Exit code: 0 if every check passes, 1 otherwise, 130 after Ctrl-C.",
    )
    parser.add_argument("--keep", action="store_true", help="after the audit, leave everything running until Ctrl-C")
    parser.add_argument("--monitoring", action="store_true", help="start the profile with Prometheus and Grafana too")
    parser.add_argument("--own-engine", action="store_true", help="start an own engine even if Docker runs here")
    parser.add_argument("--slow", action="store_true", help="play at the demo's real pace (a sale every 5 to 7 s)")
    parser.add_argument("--seed", type=int, help="repeat the people, products and pauses of a run (default: random)")
    parser.add_argument("--image", default="mamochi:dev", help="name of the image to build (default: mamochi:dev)")
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, help="port of the web, or the next free one")
    parser.add_argument("--dir", type=Path, default=DEFAULT_FOLDER, help="folder of the run; its logs stay")
    options = parser.parse_args()
    options.seed = secrets.randbelow(10**6) if options.seed is None else options.seed
    options.pace = replace(Pace.real() if options.slow else Pace.fast(), patience=PATIENCE)
    options.picture = None
    return options


def _project() -> str:
    """Return the compose project: one per checkout, and never an operator's `mamochi`."""
    return f"mamochi-dev-{hashlib.sha256(str(CHECKOUT).encode()).hexdigest()[:6]}"


def _check(system: ComposeSystem, options: argparse.Namespace, console: Console) -> bool:
    """Play, restore the broker, stop every process; return True if all is right."""
    used = system.memory()
    if not _play(system, options, console):
        return False
    system.say(f"starting {VICTIM} again")
    system.restore(VICTIM)
    checks.wait_until_replicated(system)
    system.say(f"{VICTIM} is back, and every partition has its three replicas")
    if options.monitoring:
        checks.check_prometheus(system)
        system.say(
            "Prometheus scrapes every process, evaluates every alert, and has data for every panel of the dashboard"
        )
    if options.keep:
        _keep_running(system, console)
    system.say("stopping every process")
    ended = system.stop_applications() + system.stop_servers()
    console.print(_figures(used, ended))
    wrong = [f"{end.service} ended with exit code {end.exit_code}" for end in ended if not checks.ended_well(end)]
    for sentence in wrong:
        console.print(f"./dev compose: {sentence}; see {system.logs}", style="red", markup=False, soft_wrap=True)
    return not wrong


def _play(system: ComposeSystem, options: argparse.Namespace, console: Console) -> bool:
    """Set up Django with the published ports, play, and return True if the audit passes."""
    os.environ.update(system.files.django_environment())
    django.setup()
    from mamochi_site.local.demo.director import DemoFailed, Director

    system.say(f"playing the demo, seed {options.seed}")
    try:
        return Director(system, options, console, _killer(system)).play()
    except DemoFailed as error:
        system.save_logs()
        console.print(f"./dev compose: {error}", style="bold red", markup=False, soft_wrap=True)
        return False


def _killer(system: ComposeSystem) -> Callable[[float], None]:
    """Return what kills the broker once, in the middle of the sales."""

    def on_progress(progress: float) -> None:
        if progress >= KILL_AT and VICTIM not in system.broken:
            system.say(f"killing {VICTIM}")
            system.kill(VICTIM)

    return on_progress


def _figures(used: dict[str, float], ended: list[Ended]) -> Table:
    table = Table("process", "MiB at rest", "exit code", "stopped after s", title="Processes")
    ends = {end.service: end for end in ended}
    for name in sorted(used.keys() | ends.keys()):
        end = ends.get(name)
        table.add_row(
            name,
            f"{used[name]:.0f}" if name in used else "",
            str(end.exit_code) if end else "",
            f"{end.seconds:.1f}" if end else "",
        )
    return table


def _keep_running(system: ComposeSystem, console: Console) -> None:
    """Wait for Ctrl-C, which is the normal end here."""
    shell = system.files.write_shell(system.docker)
    console.print(
        f"\nRunning at {system.url}/api/v1/ until Ctrl-C\n"
        f"  admin    {system.url}/admin/   user admin   password {system.files.secret('admin_password')}\n"
        f"  e-mails  {system.files.mailbox}\n"
        f"  `docker compose ...` in another terminal, after:   . {shell}",
        markup=False,
        soft_wrap=True,
    )
    try:
        while True:
            time.sleep(1)
    except KeyboardInterrupt:
        return


if __name__ == "__main__":
    sys.exit(main())
