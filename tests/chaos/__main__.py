"""`./dev chaos`: faults under load, then an audit; exit code 1 if anything was lost or doubled."""

import argparse
import os
import secrets
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Final

import django
from rich.console import Console

from deploy.embedded import Stack, StackError
from deploy.embedded.hosts import all_on_loopback
from deploy.embedded.signals import interrupt_on_termination
from mamochi_site.local.system import CHECKOUT, DEFAULT_PORT, running_system
from tests.chaos.faults.clocks import Clocks
from tests.chaos.faults.disks import Volumes, can_mount, unmount_all
from tests.chaos.faults.plan import Context
from tests.chaos.faults.preload import COMPILER, together
from tests.chaos.faults.slow import SlowDisks
from tests.chaos.mutations import __main__ as mutations
from tests.chaos.network import places
from tests.chaos.network.hub import Network

FAULTS: Final = ("processes", "network", "clocks", "disks", "mistakes")
DEFAULT_FOLDER: Final = CHECKOUT / ".mamochi" / "chaos"
SETTINGS: Final = {"REVISION_AUTOMATICA": "true", "LIMITE_INSCRIPCIONES": "", "LOG_LEVEL": "INFO"}
CONSUMERS_EACH: Final = 2
LINE_WIDTH: Final = 140  # when the output is not a terminal
INTERRUPTED: Final = 130


def arguments() -> argparse.Namespace:
    """Parse the arguments; without `--seed`, choose a seed and print it."""
    parser = argparse.ArgumentParser(prog="./dev chaos", description=__doc__)
    parser.add_argument(
        "--minutes", type=float, default=5.0, help="of faults under load (default: 5); draining comes on top"
    )
    parser.add_argument(
        "--seed", type=int, help="the same faults and wishes in the same order, on such a machine (default: random)"
    )
    parser.add_argument("--brokers", type=int, choices=[1, 3], default=3, help="Kafka brokers (default: 3)")
    parser.add_argument("--dir", type=Path, default=DEFAULT_FOLDER, help="its folder; old data in it is removed")
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, help="the web's, or the next free one")
    parser.add_argument(
        "--faults", nargs="+", choices=FAULTS, default=FAULTS, help="only faults of these kinds (default: all)"
    )
    parser.add_argument(
        "--hosts",
        action="store_true",
        help="run each server and group of processes on a host of its own (a network namespace: root on Linux), and "
        "cut, slow and lose the packets between them too",
    )
    parser.add_argument(
        "--mutations", action="store_true", help="plant known bugs instead (./dev chaos --mutations --help)"
    )
    options = parser.parse_args()
    options.seed = secrets.randbelow(10**6) if options.seed is None else options.seed
    return options


def network_of(options: argparse.Namespace) -> AbstractContextManager[Network | None]:
    """Return the hosts if `--hosts` asks for them. Raises StackError where there can be none."""
    if not options.hosts:
        return nullcontext()
    options.dir.mkdir(parents=True, exist_ok=True)
    return Network(places.all_places(options.brokers, CONSUMERS_EACH), options.dir / "delay.log")


@contextmanager
def own_volumes(context: Context, say: Callable[[str], None]) -> Iterator[None]:
    """Give PostgreSQL and a broker volumes of their own, where this machine can mount any."""
    if not can_mount():
        say("no faults of disks: they need root, loop devices and mkfs.ext4")
        yield
        return
    say("moving PostgreSQL and a broker onto volumes of their own")
    context.volumes = Volumes(context)
    try:
        context.volumes.place()
        yield
    finally:
        context.system.stack.stop()
        context.volumes.unmount()


def main() -> int:
    """Return 0 if nothing was found, 1 if not or if the system did not start, 130 on Ctrl-C."""
    if "--mutations" in sys.argv:
        return mutations.main([argument for argument in sys.argv[1:] if argument != "--mutations"])
    options = arguments()
    console = Console() if sys.stdout.isatty() else Console(width=LINE_WIDTH)
    interrupt_on_termination()

    def say(text: str) -> None:
        console.print(f"  {text}", markup=False, highlight=False, soft_wrap=True)

    say(f"seed {options.seed}, {options.minutes:g} minutes, {options.brokers} broker(s), data in {options.dir}")
    try:
        unmount_all(options.dir)  # of a run that was killed
        with network_of(options) as network:
            host_of = places.on(network.hosts) if network else all_on_loopback
            clocks = Clocks(options.dir / "clocks") if "clocks" in options.faults and COMPILER else None
            slow_disks = SlowDisks(options.dir / "disks") if "disks" in options.faults and COMPILER else None
            if COMPILER is None:
                say("no wrong clocks and no slow disks: they need a C compiler")
            stack = Stack(
                options.dir,
                brokers=options.brokers,
                fresh=True,
                host_of=host_of,
                own=together(*(part.variables for part in (clocks, slow_disks) if part)),
                say=say,
                environ={},
            )
            if network:
                stack.supervisor.own = together(stack.supervisor.own, places.by_name(network, stack))
            with running_system(stack, port=options.port, settings=SETTINGS, consumers=CONSUMERS_EACH) as system:
                os.environ.update(system.environment)
                django.setup()
                from tests.chaos.run import Run

                run = Run(system, options, console, network, clocks)
                run.nemesis.kinds = options.faults
                run.nemesis.context.slow_disks = slow_disks
                with own_volumes(run.nemesis.context, say) if "disks" in options.faults else nullcontext():
                    return 0 if run.play() else 1
    except StackError as error:
        console.print(f"./dev chaos: {error}", style="red", markup=False, soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        console.print("Interrupted: everything is stopped.")
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
