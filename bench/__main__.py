"""`./dev bench NAME [--assert-ratio R]`: starts a stack of its own, measures, prints, writes bench/results/NAME.json."""

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


def benchmarks() -> dict[str, ModuleType]:
    """Every module of this folder that has a SUMMARY. They import Django's models, so the environment must be set."""
    names = [info.name for info in pkgutil.iter_modules(bench.__path__) if not info.name.startswith("_")]
    modules = {name: importlib.import_module(f"bench.{name}") for name in names}
    return {name: module for name, module in modules.items() if hasattr(module, "SUMMARY")}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__)
    parser.add_argument("name", nargs="?", help="which benchmark: see --list")
    parser.add_argument("--list", action="store_true", help="explain the benchmarks and end")
    parser.add_argument("--assert-ratio", type=float, metavar="R", help="exit 1 where the ratio is lower")
    return parser.parse_args()


def main() -> int:
    """Runs one benchmark; 1 where its ratio is too low, 2 where there is none of that name."""
    chosen = arguments()
    os.environ.setdefault("DEBUG", "true")
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mamochi_site.settings")
    with tempfile.TemporaryDirectory(prefix="mamochi-bench-") as folder:
        stack = Stack(Path(folder), say=lambda text: console.print(f"[dim]{text}[/dim]"))
        os.environ.update(stack.environment())
        setup_django()
        known = benchmarks()
        if chosen.list or chosen.name not in known:
            return explain(known, asked=chosen.list)
        with stack:
            return report(measure(known[chosen.name]), chosen.assert_ratio)


def setup_django() -> None:
    os.environ["DEBUG"] = "false"  # DEBUG keeps every query in memory
    for name, value in {"SECRET_KEY": "bench-" + "b" * 50, "ALLOWED_HOSTS": "127.0.0.1"}.items():
        os.environ.setdefault(name, value)
    import django

    django.setup()


def explain(known: dict[str, ModuleType], *, asked: bool) -> int:
    for name, module in known.items():
        console.print(f"[bold]{name}[/bold]  {module.SUMMARY}")
    return 0 if asked else 2


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
