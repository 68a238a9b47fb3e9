"""One secured system for the tests that take its rights, passwords and certificates away."""

from collections.abc import Iterator

import pytest

from mamochi_site.local.system import System
from tests.support.operator import Operator
from tests.support.secured import secured_system
from tests.support.system import Client, enrol


@pytest.fixture(scope="session")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with secured_system(tmp_path_factory.mktemp("secured"), 18_700) as running:
        yield running


@pytest.fixture(scope="session")
def operator(system: System) -> Operator:
    return Operator(system)


@pytest.fixture(scope="session")
def maestro(system: System, operator: Operator) -> Client:
    return enrol(system, operator.port, paid=True)
