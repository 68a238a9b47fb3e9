"""The tests' own Kafka, PostgreSQL, Valkey and SMTP sink: a pytest plugin, loaded by `-p tests.stack`.

pytest-django reads the settings before any conftest, so ports and URLs are chosen here, on import. The servers
start when the first test asks for one of the fixtures `stack`, `kafka`, `mailbox`, or for the database (`db`,
`transactional_db`, the mark `django_db`); pure tests run without. A URL that is already in the environment is
used instead of the part it replaces.
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

__all__ = ["kafka", "mailbox", "stack", "wait_until"]

FOLDER = Path(tempfile.mkdtemp(prefix="mamochi-tests-"))
STACK = Stack(FOLDER, durable=False)
atexit.register(shutil.rmtree, FOLDER, ignore_errors=True)  # also when pytest fails before its first hook
os.environ.update(STACK.environment())
os.environ.setdefault("SECRET_KEY", "only-for-tests-" + "t" * 50)
os.environ.setdefault("DEBUG", "true")


def pytest_sessionstart() -> None:
    """SIGTERM ends a run as Ctrl-C does: fixtures are torn down."""
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        interrupt_on_termination()


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """The running stack, one for the whole test run."""
    try:
        STACK.start()
    except StackError as error:
        pytest.exit(f"The embedded stack does not start: {error}", returncode=1)
    yield STACK
    logging.getLogger("kafka_bridge.librdkafka").setLevel(logging.CRITICAL)  # clients miss their broker from here on
    STACK.stop()


@pytest.fixture(scope="session")
def kafka(stack: Stack) -> str:
    """Bootstrap servers of the running Kafka; names of topics and groups are each test's own."""
    return stack.environment()["KAFKA_BOOTSTRAP_SERVERS"]


@pytest.fixture
def mailbox(stack: Stack) -> Mailbox:
    """What the SMTP sink received; mails of all tests are in it, so wait for a recipient of your own."""
    return stack.mailbox
