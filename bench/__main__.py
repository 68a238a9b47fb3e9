"""`./dev bench NAME [--assert-ratio R]`: run one benchmark on its own stack.

The result is printed and written to bench/results/NAME.json.
"""

import argparse
import importlib
import os
import pkgutil
import sys
import tempfile
from io import StringIO
from pathlib import Path
from types import ModuleType

from rich.console import Console

import bench
from bench.result import Result
from deploy.embedded import Stack, StackError

console = Console()


def main() -> int:
    """Run one benchmark and return the exit code.

    1: the ratio is lower than --assert-ratio; 2: there is no benchmark of that name.
    """
    chosen = arguments()
    os.environ.setdefault("DEBUG", "true")
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mamochi_site.settings")
    with tempfile.TemporaryDirectory(prefix="mamochi-bench-") as folder:
        stack = Stack(Path(folder), brokers=chosen.brokers, say=lambda text: console.print(f"[dim]{text}[/dim]"))
        os.environ.update(stack.environment())
        setup_django()
        known = benchmarks()
        if chosen.list or chosen.name not in known:
            explain(known)
            return 0 if chosen.list else 2
        with stack:
            return report(measure(known[chosen.name]), chosen.assert_ratio)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__)
    parser.add_argument("name", nargs="?", help="the benchmark: see --list")
    parser.add_argument("--list", action="store_true", help="list and explain the benchmarks")
    parser.add_argument("--assert-ratio", type=float, metavar="R", help="exit 1 if the ratio is lower than R")
    parser.add_argument("--brokers", type=int, default=1, choices=(1, 3), help="Kafka's brokers (default 1)")
    return parser.parse_args()


def setup_django() -> None:
    # With DEBUG on, Django keeps every query in memory.
    os.environ["DEBUG"] = "false"
    for name, value in {"SECRET_KEY": "bench-" + "b" * 50, "ALLOWED_HOSTS": "127.0.0.1"}.items():
        os.environ.setdefault(name, value)
    import django

    django.setup()


def benchmarks() -> dict[str, ModuleType]:
    """Return every module of this folder that has a SUMMARY.

    The modules import Django's models, so Django must be set up first.
    """
    names = [info.name for info in pkgutil.iter_modules(bench.__path__) if not info.name.startswith("_")]
    modules = {name: importlib.import_module(f"bench.{name}") for name in names}
    return {name: module for name, module in modules.items() if hasattr(module, "SUMMARY")}


def explain(known: dict[str, ModuleType]) -> None:
    for name, module in known.items():
        console.print(f"[bold]{name}[/bold]  {module.SUMMARY}")


def measure(module: ModuleType) -> Result:
    from django.core.management import call_command

    console.print("[dim]preparing the tables and topics[/dim]")
    call_command("migrate", verbosity=0)
    call_command("create_topics", stdout=StringIO())
    result: Result = module.run(lambda text: console.print(f"[dim]{text}[/dim]"))
    return result


def report(result: Result, least: float | None) -> int:
    result.show(console)
    console.print(f"[dim]written to {result.write()}[/dim]")
    if least is not None and result.ratio < least:
        console.print(f"[red]{result.ratio:.2f} is lower than {least}[/red]")
        return 1
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except StackError as error:
        console.print(f"[red]{error}[/red]")
        sys.exit(1)
