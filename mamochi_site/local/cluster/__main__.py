"""`python -m mamochi_site.local.cluster`: start a cluster, play, break, scale, tear down."""

import argparse
import json
import os
import platform
import secrets
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

import django
from rich.console import Console
from rich.table import Table

from deploy.cluster.cluster import prepare, running_cluster
from deploy.cluster.programs import KUBERNETES
from deploy.containers.engine import engine
from deploy.embedded import StackError
from deploy.embedded.signals import interrupt_on_termination
from mamochi_site.local.cluster import images
from mamochi_site.local.cluster.files import Files
from mamochi_site.local.cluster.system import ClusterSystem
from mamochi_site.local.demo.scene import Pace
from mamochi_site.local.system import CHECKOUT

DEFAULT_FOLDER: Final = CHECKOUT / ".mamochi" / "cluster"
INTERRUPTED: Final = 130  # as shells have it: 128 + SIGINT
LINE_WIDTH: Final = 130  # columns when the output is not a terminal
# How many times as long as on the embedded system the demo waits: a cluster shares few cores.
PATIENCE: Final = 4.0
Say = Callable[[str], None]


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
        return 0 if _run(options, console, say) else 1
    except (StackError, TimeoutError) as error:
        console.print(f"./dev cluster: {error}", style="red", markup=False, soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        console.print("Interrupted: everything is removed.")
        return INTERRUPTED


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="./dev cluster",
        description="Start a Kubernetes cluster of this machine's own (root on Debian; built from source the first "
        "time), apply deploy/kubernetes/overlays/test, play the demo through the published port, restart the web and "
        "drain a node while maestros sell, try network policies, let KEDA scale, and remove everything. "
        "Exit code: 0 if every check passes, 1 otherwise, 130 after Ctrl-C.",
    )
    parser.add_argument("--seed", type=int, help="repeat the people, products and pauses of a run (default: random)")
    parser.add_argument("--dir", type=Path, default=DEFAULT_FOLDER, help="folder of the run; logs and images stay")
    parser.add_argument("--keep-images", action="store_true", help="use the images of the last run in the folder")
    parser.add_argument("--json", type=Path, help="write the figures there as well, such as bench/results/cluster.json")
    options = parser.parse_args()
    options.seed = secrets.randbelow(10**6) if options.seed is None else options.seed
    options.pace = replace(Pace.fast(), patience=PATIENCE)
    options.picture = None
    return options


def _run(options: argparse.Namespace, console: Console, say: Say) -> bool:
    folder: Path = options.dir.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    prepare(say)
    archive = folder / "images.tar"
    chosen = _images(archive, say, keep=options.keep_images)
    with running_cluster(archive, folder / "logs", say) as cluster:
        say("the nodes are ready")
        files = Files(folder / "run")
        files.write(chosen)
        system = ClusterSystem(cluster, files, chosen, folder / "logs", say)
        began = time.monotonic()
        try:
            system.up()
            up_s = round(time.monotonic() - began, 1)
            say(f"everything is ready {up_s:.0f} s after apply: {system.url}")
            return _check(system, options, console, {"ready after apply, s": up_s, "restarts": system.restarts()})
        finally:
            files.remove()


def _images(archive: Path, say: Say, *, keep: bool) -> dict[str, str]:
    names = archive.with_suffix(".json")
    if not (keep and archive.exists() and names.exists()):
        with engine(CHECKOUT, say) as docker:
            names.write_text(json.dumps(images.build(docker, archive, say)))
    chosen: dict[str, str] = json.loads(names.read_text())
    return chosen


def _check(system: ClusterSystem, options: argparse.Namespace, console: Console, up: dict[str, Any]) -> bool:
    """Play the demo, then make every trial; return True if nothing was wrong."""
    os.environ.update(system.files.django_environment())
    django.setup()
    from mamochi_site.local.cluster import scaling, trials
    from mamochi_site.local.demo.director import DemoFailed, Director

    system.say(f"playing the demo, seed {options.seed}")
    director = Director(system, options, console)
    try:
        if not director.play():
            return False
    except DemoFailed as error:
        console.print(f"./dev cluster: {error}", style="bold red", markup=False, soft_wrap=True)
        return False
    tokens = [api.token for api in director.apis]
    outcomes = [trials.Outcome("up", up)]
    planned: dict[str, trials.Trial] = {
        "policies": partial(trials.policies, system),
        "from zero": partial(scaling.from_zero, system),
        "restart": partial(trials.restart, system, tokens),
        "drain": partial(trials.drain, system, tokens),
        "doubling": partial(scaling.doubling, system, tokens),
        "peak": partial(scaling.peak, system, tokens),
    }
    for name, trial in planned.items():
        system.say(f"trial: {name}")
        outcomes.append(trials.tried(trial, name))
        for sentence in outcomes[-1].wrong:
            console.print(f"./dev cluster: {name}: {sentence}", style="red", markup=False, soft_wrap=True)
    console.print(_table(outcomes))
    if options.json:
        options.json.write_text(_json({one.name: one.figures for one in outcomes}))
    return not any(one.wrong for one in outcomes)


def _table(outcomes: list[Any]) -> Table:
    table = Table("trial", "figure", "value", title="Cluster")
    for outcome in outcomes:
        for name, value in outcome.figures.items():
            if name != "series":
                table.add_row(outcome.name, name, str(value))
    return table


def _json(figures: dict[str, dict[str, Any]]) -> str:
    origin = {
        "name": "cluster",
        "measured_at": datetime.now(UTC).isoformat(),
        "machine": platform.platform(),
        "cores": os.cpu_count(),
        "load_average": os.getloadavg(),
        "kubernetes": KUBERNETES,
    }
    return json.dumps(origin | {"trials": figures}, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.exit(main())
