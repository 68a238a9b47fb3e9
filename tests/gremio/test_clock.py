"""The database's clock decides where machines' clocks differ."""

from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from gremio import clock

SECONDS = 30.0


@pytest.mark.django_db
@pytest.mark.parametrize("minutes", [-10, 10])
def test_own_clock_that_is_wrong(minutes: float) -> None:
    """It changes nothing in the database's time, and the earlier of the two counts."""
    right, wrong = timezone.now(), timezone.now() + timedelta(minutes=minutes)
    with time_machine.travel(wrong):
        assert abs((clock.database_now() - right).total_seconds()) < SECONDS
        assert abs((clock.earlier_now() - min(right, wrong)).total_seconds()) < SECONDS
