"""A database that has run a migration never runs it again: only new migrations reach it."""

from typing import Final

import pytest
from django.conf import settings

from tests.support import yesterday

APPS: Final = sorted(path.parts[-3] for path in settings.BASE_DIR.glob("*/migrations/0001_initial.py"))


@pytest.mark.skipif(not yesterday.version(), reason="this clone lacks yesterday's code: git fetch --unshallow --tags")
@pytest.mark.parametrize("app", APPS)
def test_released_migrations_stay_as_they_are(app: str) -> None:
    changes = yesterday.changes(yesterday.version(), f"{app}/migrations/[0-9]*")
    assert [change for change in changes if change[0] != "A"] == []
