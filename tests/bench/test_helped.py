"""The speed of a consumer with its helper, from the times of their batches."""

from datetime import UTC, datetime, timedelta

import pytest

from bench.helped import Applied, speed_of

BEGIN = datetime(2026, 11, 27, 12, tzinfo=UTC)


def batch(process: str, second: float, messages: int) -> Applied:
    return Applied(process, BEGIN + timedelta(seconds=second), messages)


def test_both_processes_count_from_the_first_batch_on() -> None:
    batches = [batch("main", 0, 5_000), batch("main", 1, 200), batch("helper", 2, 100), batch("main", 4, 300)]
    assert speed_of(batches) == (200 + 100 + 300) / 4


def test_a_helper_that_never_came_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="before the helper came"):
        speed_of([batch("main", 0, 10), batch("main", 1, 10)])
