"""One secured system for all tests of this folder; each test has maestros of its own.

Every server but the SMTP sink has TLS, and each process has its own user and rights in Kafka.
"""

from collections.abc import Iterator

import pytest

from mamochi_site.local.system import System
from tests.support.operator import Operator
from tests.support.secured import secured_system
from tests.support.system import Client, enrol


@pytest.fixture(scope="session")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with secured_system(tmp_path_factory.mktemp("system"), 18_000) as running:
        yield running


@pytest.fixture
def operator(system: System) -> Operator:
    return Operator(system)


@pytest.fixture
def anyone(system: System) -> Client:
    return Client(int(system.url.rsplit(":", 1)[1]))


@pytest.fixture
def maestro(system: System, anyone: Client) -> Client:
    """Return a maestro who enrolled, was approved and read the token in the e-mail."""
    return enrol(system, anyone.port, paid=False)
