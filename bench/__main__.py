"""`./dev bench NAME [--assert-ratio R]`: run one benchmark on its own stack.

The result is printed and written to bench/results/NAME.json.
"""

import argparse
import importlib
import os
import pkgutil
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import replace
from io import StringIO
from pathlib import Path
from types import ModuleType

from rich.console import Console

import bench
from bench.result import Result, machine_cores
from deploy.embedded import Stack, StackError

console = Console()
PLOT = "plot"


def main() -> int:
    """Run one benchmark and return the exit code.

    1: the ratio is lower than --assert-ratio; 2: there is no benchmark of that name.
    """
    chosen, rest = arguments()
    if chosen.name == PLOT:
        from bench.plots import plot

        console.print("\n".join(f"[dim]drawn: {path}[/dim]" for path in plot()))
        return 0
    os.environ.setdefault("DEBUG", "true")
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mamochi_site.settings")
    with tempfile.TemporaryDirectory(prefix="mamochi-bench-") as folder:
        stack = Stack(Path(folder), brokers=chosen.brokers, say=say)
        os.environ.update(stack.environment())
        setup_django()
        known = benchmarks()
        if chosen.list or chosen.name not in known:
            explain(known)
            return 0 if chosen.list else 2
        module = known[chosen.name]
        options = own_options(module, rest)
        if hasattr(module, "STARTS_ITS_SYSTEM"):
            return report(module.run(say, *options), chosen.assert_ratio)
        suffix = f"-{chosen.brokers}-brokers" if chosen.brokers > 1 else ""
        if machine_cores() == 1 != os.cpu_count():
            suffix += "-1-core"  # taskset -c 0 ./dev bench ...
        with stack:
            results = measure(module, options)
            codes = [report(replace(one, name=one.name + suffix), chosen.assert_ratio) for one in results]
        return max(codes)


def own_options(module: ModuleType, rest: list[str]) -> list[argparse.Namespace]:
    """Return the options of a benchmark that has some; exits 2 for one that it does not have."""
    if hasattr(module, "arguments"):
        return [module.arguments(rest)]
    argparse.ArgumentParser(prog="./dev bench").parse_args(rest)
    return []


def say(text: str) -> None:
    """Print a line of progress."""
    console.print(f"[dim]{text}[/dim]")


def arguments() -> tuple[argparse.Namespace, list[str]]:
    """Return the options of every benchmark, and what is left for the chosen one."""
    own = (
        "Options of costo and carga: --rates 20,60,140 --seconds S --rounds N; costo: --against; carga: --seed; "
        "of mensajes: --factor F --rounds N --add; demanda: --seconds S --mean M --cores C --rounds N --add --seed; "
        "simulacion: --seed --replications N --most MAESTROS"
    )
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__, epilog=own)
    parser.add_argument("name", nargs="?", help=f"the benchmark: see --list; `{PLOT}` draws the results again")
    parser.add_argument("--list", action="store_true", help="list and explain the benchmarks")
    parser.add_argument("--peers", action="store_true", help="install what sink's peers need (read by ./dev)")
    parser.add_argument("--assert-ratio", type=float, metavar="R", help="exit 1 if the ratio is lower than R")
    parser.add_argument("--brokers", type=int, default=1, choices=(1, 3), help="Kafka's brokers (default 1)")
    return parser.parse_known_args()


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


def measure(module: ModuleType, options: list[argparse.Namespace]) -> Iterable[Result]:
    """Return the results of a benchmark, which may yield each one as soon as it is measured."""
    from django.core.management import call_command

    console.print("[dim]preparing the tables and topics[/dim]")
    call_command("migrate", verbosity=0)
    call_command("create_topics", stdout=StringIO())
    result: Result | Iterator[Result] = module.run(say, *options)
    return [result] if isinstance(result, Result) else result


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
