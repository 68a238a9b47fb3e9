"""Run consumers, the relay or any other loop in threads of the test process."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import uuid4

from django.db import connections

from kafka_bridge.consuming.handlers import consumers
from kafka_bridge.consuming.runner import Runner

SECONDS = 60.0  # how long a loop may take to end

Loop = Callable[[threading.Event], None]  # runs until the event is set


def consumer(name: str, *, lane: str = "", own_group: bool = False) -> Loop:
    """Return the loop that `manage.py run_consumer NAME` runs, for one lane.

    With `own_group` its Kafka group is the test's own, so that another test's member holds nothing.
    """

    def run(stop: threading.Event) -> None:
        group = f"{name}-{uuid4()}" if own_group else ""
        Runner(consumers[name], stop=stop, lane=lane, group=group).run()

    return run


@contextmanager
def running(*loops: Loop) -> Iterator[threading.Event]:
    """Run the loops in threads until the block ends.

    A loop that fails stops the others, and its error is raised.
    """
    stop, errors = threading.Event(), list[BaseException]()

    def run(loop: Loop) -> None:
        try:
            loop(stop)
        except BaseException as error:  # noqa: BLE001 - raised below, in the test's thread
            errors.append(error)
            stop.set()
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=[loop]) for loop in loops]
    for thread in threads:
        thread.start()
    try:
        yield stop
    finally:
        stop.set()
        for thread in threads:
            thread.join(SECONDS)
    if errors:
        raise errors[0]
