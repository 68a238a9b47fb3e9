"""`manage.py run_consumer NAME...`: run consumers until SIGTERM or Ctrl-C."""

import gc
import inspect
import os
import threading
from argparse import ArgumentParser
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from django.core.checks import Tags
from django.core.management.base import BaseCommand, CommandError

from kafka_bridge.consuming.handlers import Consumer, consumers
from kafka_bridge.consuming.helper import HELPER, Borrower, HelpedRunner, help_out
from kafka_bridge.consuming.lanes import FORK, RunLane, forked_lanes
from kafka_bridge.consuming.poison import limit_arenas
from kafka_bridge.consuming.runner import Runner
from kafka_bridge.exceptions import OffsetsLost, TooManyDeadLetters
from kafka_bridge.management.processes import add_metrics_port, serve_metrics, stop_on_signals
from kafka_bridge.waits import limit_silence

# Of main lane and helper beside a priority lane, which goes first where they want the same core
# (ADR 61).
MAIN_LANE_NICENESS: Final = 5


class Command(BaseCommand):
    # Those of URLs, templates and the admin load 20 MB that a consumer does not need.
    requires_system_checks = ["events", Tags.models, Tags.database]
    help = (
        "Run a consumer: apply the messages of its topics to the database. Several processes of one consumer share its "
        "partitions. Several names, or --all, run the consumers as one program whose processes share memory: if one "
        "consumer stops, all stop, and the exit code and the last line are those of that one."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("names", nargs="*", metavar="name", help="a consumer: see --list")
        parser.add_argument("--all", action="store_true", help="run every consumer, for small installations")
        parser.add_argument("--list", action="store_true", help="explain the consumers and end")
        parser.add_argument(
            "--helper",
            action="store_true",
            help="let a second process of each consumer help while there is a backlog; for machines with several cores",
        )
        add_metrics_port(parser)
        parser.add_argument(
            "--accept-loss",
            action="store_true",
            help="continue where messages are lost (retention, a restored topic), instead of stopping",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["list"]:
            self._explain()
            return
        chosen = _chosen(options["names"], every=options["all"])
        with_helper, accept_loss = options["helper"], options["accept_loss"]
        _run(chosen, options["metrics_port"], with_helper=with_helper, accept_loss=accept_loss)

    def _explain(self) -> None:
        for name, consumer in sorted(consumers.items()):
            self.stdout.write(self.style.MIGRATE_HEADING(name))
            for event, handler in consumer.handlers.items():
                summary = (inspect.getdoc(handler) or "").split("\n")[0]
                self.stdout.write(f"  {event.topic.name}: {event.type}\n      {summary}")


def _chosen(names: list[str], *, every: bool) -> list[Consumer]:
    """Return the consumers of these names, each once. Raises CommandError for any other choice."""
    known = ", ".join(sorted(consumers))
    if every and names:
        raise CommandError("--all runs every consumer: leave out the names, or leave out --all.")
    wanted = sorted(consumers) if every else list(dict.fromkeys(names))
    if not wanted or not set(wanted) <= consumers.keys():
        raise CommandError(f"Name one of: {known}. --list explains them, --all runs them all.")
    return [consumers[name] for name in wanted]


def _run(chosen: list[Consumer], metrics_port: tuple[str, int] | None, *, with_helper: bool, accept_loss: bool) -> None:
    """Run the first consumer's main lane here, and each other process in a fork."""
    stop = stop_on_signals()
    limit_arenas()
    limit_silence()
    # Django and the apps live as long as the process. Batches are 1.5 times as fast when the
    # garbage collector looks only at what they leave.
    gc.freeze()
    runs: dict[str, RunLane] = {}
    for consumer in chosen:
        processes = _processes_of(consumer, stop, with_helper=with_helper, accept_loss=accept_loss)
        runs |= {".".join(filter(None, (consumer.name, name))): run for name, run in processes.items()}
    first = runs.pop(chosen[0].name)
    with forked_lanes(runs, stop):
        serve_metrics(metrics_port)
        first()


def _processes_of(
    consumer: Consumer, stop: threading.Event, *, with_helper: bool, accept_loss: bool
) -> dict[str, RunLane]:
    """Return what each process of a consumer runs, by its lane's name or HELPER."""

    def go_behind_lanes() -> None:
        if consumer.lanes:
            os.nice(MAIN_LANE_NICENESS)

    def run_main(runner: Callable[..., Runner]) -> None:
        go_behind_lanes()
        runner(consumer, stop=stop, accept_loss=accept_loss).run()

    def run_helper(lender: Borrower) -> None:
        go_behind_lanes()
        help_out(consumer, stop=stop, lender=lender, accept_loss=accept_loss)

    def run_lane(lane: str) -> None:
        Runner(consumer, stop=stop, lane=lane, accept_loss=accept_loss).run()

    runs: dict[str, RunLane] = {lane: partial(run_lane, lane) for lane in consumer.lanes}
    if with_helper:
        helper, lender = FORK.Pipe()
        runs[""] = partial(run_main, partial(HelpedRunner, helper=helper))
        runs[HELPER] = partial(run_helper, lender)
    else:
        runs[""] = partial(run_main, Runner)
    return {name: partial(_explained, consumer.name, run) for name, run in runs.items()}


def _explained(name: str, run: RunLane) -> None:
    """Run, and turn the errors that end a consumer on purpose into CommandErrors with advice."""
    try:
        run()
    except TooManyDeadLetters as error:
        raise CommandError(
            f"{name} stopped: {error}. That usually means a bug or a missing dependency, not bad messages. No further "
            "dead letters were stored. See the last dead letters in the admin and the log of this consumer, fix the "
            "cause, then start the consumer again. Pending dead letters still count: if the messages are to blame "
            "after all, replay or discard them first.",
            returncode=3,
        ) from error
    except OffsetsLost as error:
        raise CommandError(str(error), returncode=4) from error
