"""A pytest plugin with the tests' servers and markers, loaded by `-p tests.stack`.

The servers are Kafka, PostgreSQL, Valkey and an SMTP sink. pytest-django reads the settings before
any conftest, so this module chooses ports and URLs on import. The servers start when the first test
uses one of the fixtures `stack`, `kafka` and `mailbox`, or the database (`db`, `transactional_db`,
the mark `django_db`); pure tests run without them. A URL that is already in the environment
replaces its server.
"""

import atexit
import logging
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.embedded import Stack, StackError
from deploy.embedded.mailbox import Mailbox
from deploy.embedded.signals import interrupt_on_termination
from deploy.embedded.waiting import wait_until
from tests.support.needs import skip_or_fail

__all__ = ["kafka", "mailbox", "stack", "wait_until"]

# With `--numprocesses 2`, pytest-xdist starts two processes, which inherit the environment of the
# first. Each of them starts its own servers.
if "PYTEST_XDIST_WORKER" in os.environ:
    for variable in os.environ.pop("TEST_SERVERS", "").split():
        del os.environ[variable]
FOLDER = Path(tempfile.mkdtemp(prefix="mamochi-tests-"))
STACK = Stack(FOLDER, durable=False)
# At exit, so that the folder is deleted even if pytest fails before its first hook.
atexit.register(shutil.rmtree, FOLDER, ignore_errors=True)
os.environ["TEST_SERVERS"] = " ".join(part.variable for part in STACK.parts)
os.environ.update(STACK.environment())
os.environ.setdefault("SECRET_KEY", "only-for-tests-" + "t" * 50)
os.environ.setdefault("DEBUG", "true")


def pytest_configure(config: pytest.Config) -> None:
    """Leave chaos, engine and cluster tests out unless the `-m` option names their marker."""
    for marker in ("chaos", "engine", "cluster"):
        expression = config.option.markexpr
        if marker not in expression:
            config.option.markexpr = f"({expression}) and not {marker}" if expression else f"not {marker}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files that take minutes first: the last one should not keep one process busy alone.

    With `--dist loadfile`, that also needs `--no-loadscope-reorder`.
    """

    def minutes(item: pytest.Item) -> float:
        mark = item.get_closest_marker("minutes")
        return float(mark.args[0]) if mark else 0.0

    items.sort(key=minutes, reverse=True)


def pytest_sessionstart() -> None:
    """Let SIGTERM end the run as Ctrl-C does, so that fixtures are torn down."""
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        interrupt_on_termination()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test that lacks something, or let it fail in CI, before its fixtures begin."""
    for mark in item.iter_markers("needs"):
        if lack := mark.args[0]:
            skip_or_fail(lack)


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """Return the running stack, one for the whole test run."""
    try:
        STACK.start()
    except StackError as error:
        pytest.exit(f"The embedded stack does not start: {error}", returncode=1)
    yield STACK
    # Clients that are still open report from now on that their broker is unreachable.
    logging.getLogger("kafka_bridge.librdkafka").setLevel(logging.CRITICAL)
    STACK.stop()


@pytest.fixture(scope="session")
def kafka(stack: Stack) -> str:
    """Return the bootstrap servers of the running Kafka; use topics and groups of your own."""
    return stack.environment()["KAFKA_BOOTSTRAP_SERVERS"]


@pytest.fixture
def mailbox(stack: Stack) -> Mailbox:
    """Return the mailbox of the SMTP sink.

    It contains the mails of all tests, so wait for an address that only your test uses.
    """
    return stack.mailbox
