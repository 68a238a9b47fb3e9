"""What all tests share; the servers are started by the plugin `tests.stack`."""

from collections.abc import Iterator

import pytest

from deploy.embedded import Stack


@pytest.fixture(scope="session")
def django_db_modify_db_settings(stack: Stack) -> None:
    """pytest-django makes the test database after this: whoever needs the database needs the servers."""


@pytest.fixture(scope="session", autouse=True)
def patient_publishing() -> Iterator[None]:
    """On a busy machine an acknowledgement may take long; in production the event would wait in the outbox, for the relay."""
    from kafka_bridge import producer

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(producer, "DEADLINE_MS", 30_000)
        yield
