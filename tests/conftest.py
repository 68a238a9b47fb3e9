"""What all tests share; the servers are started by the plugin `tests.stack`."""

import pytest

from deploy.embedded import Stack


@pytest.fixture(scope="session")
def django_db_modify_db_settings(stack: Stack) -> None:
    """pytest-django makes the test database after this: whoever needs the database needs the servers."""
