"""One secured system for the tests that take its rights, passwords and certificates away."""

from collections.abc import Iterator

import pytest

from deploy.embedded import Stack
from mamochi_site.local.system import System, running_system
from tests.support.operator import Operator
from tests.support.system import Client, enrol


@pytest.fixture(scope="session")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    stack = Stack(tmp_path_factory.mktemp("secured"), durable=False, secured=True, environ={})
    settings = {"REVISION_AUTOMATICA": "true", "LIMITE_INSCRIPCIONES": "1000/minute"}
    with running_system(stack, port=18_700, settings=settings) as running:
        yield running


@pytest.fixture(scope="session")
def operator(system: System) -> Operator:
    return Operator(system)


@pytest.fixture(scope="session")
def maestro(system: System, operator: Operator) -> Client:
    return enrol(system, operator.port, paid=True)
