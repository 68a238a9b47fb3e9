"""A message that makes a handler fail is found in few attempts; the others are applied."""

from collections.abc import Callable
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.embedded.waiting import wait_until
from gremio.copy import FEW, insert_missing
from kafka_bridge.consuming.culprits.attempt import Failure
from kafka_bridge.consuming.culprits.limits import FailureLimit, GroupSize
from kafka_bridge.consuming.culprits.search import CulpritSearch
from kafka_bridge.consuming.record import Record
from kafka_bridge.models import DeadLetter
from tests.support.sandbox import SECONDS, Sandbox


def test_a_culprit_becomes_a_dead_letter(sandbox: Sandbox) -> None:
    sandbox.poison = {7, 42}
    sandbox.publish(*range(100), key="one")
    with sandbox.running():
        wait_until(lambda: len(sandbox.rows()) == 98, SECONDS)
    assert sandbox.rows() == [n for n in range(100) if n not in sandbox.poison]
    letters = DeadLetter.objects.order_by("offset")
    assert [letter.offset for letter in letters] == [7, 42]
    # Where it failed, without the error's text: that could hold personal data.
    assert letters[0].error.startswith("ValueError in handle, sandbox.py:")
    assert "handle" in letters[0].traceback
    assert letters[0].value


def test_a_failing_foreign_key_is_found(sandbox: Sandbox) -> None:
    """PostgreSQL would check the constraint at COMMIT."""
    sandbox.orphans = {13}
    sandbox.publish(*range(100), key="one")
    with sandbox.running():
        wait_until(lambda: len(sandbox.rows()) == 99, SECONDS)
    letter = DeadLetter.objects.get()
    assert letter.error.startswith("IntegrityError 23503 sandbox_row_parent_fkey")
    assert letter.attempts >= 2, "with others, and alone"
    assert sandbox.attempts <= 20, "O(log n)"


def test_a_number_that_copy_cannot_write_is_found(sandbox: Sandbox) -> None:
    """COPY fails in Python for many rows; PostgreSQL refuses the culprit, which is tried alone."""
    columns = {"event_id": "uuid", "n": "int4"}

    def copied(events: list[Any]) -> None:
        insert_missing("sandbox_row", columns, [(event.id, event.n) for event in events])

    sandbox.consumer.handlers[sandbox.event] = copied
    numbers = [*range(2 * FEW), 2**31, *range(2 * FEW, 4 * FEW)]
    sandbox.publish(*numbers, key="one")
    with sandbox.running():
        wait_until(lambda: len(sandbox.rows()) == 4 * FEW, SECONDS)
    assert sandbox.rows() == list(range(4 * FEW))
    letter = DeadLetter.objects.get()
    assert (letter.offset, letter.reason, letter.error) == (2 * FEW, "handler", "DataError 22003")


def test_close_culprits_shrink_the_groups(sandbox: Sandbox) -> None:
    sandbox.poison = set(range(0, 200, 10))
    sandbox.publish(*range(400), key="one")
    runner = sandbox.runner()
    with sandbox.running(runner):
        wait_until(lambda: len(sandbox.rows()) == 380, SECONDS)
    assert sandbox.rows() == [n for n in range(400) if n not in sandbox.poison]
    assert {letter.offset for letter in DeadLetter.objects.all()} == sandbox.poison
    assert sandbox.attempts <= 20 * 8, "as many as groups of 10 need, not groups of 400"
    assert runner.group_size.records > 20, "it grows again when all is well"


def test_the_suspect_is_tried_first(sandbox: Sandbox) -> None:
    calls: list[set[int]] = []

    def noted(events: list[Any]) -> None:
        calls.append({event.n for event in events})
        sandbox.handle(events)

    sandbox.consumer.handlers[sandbox.event] = noted
    sandbox.poison = {300}
    sandbox.publish(*range(400), key="one")
    with sandbox.running():
        wait_until(lambda: len(sandbox.rows()) == 399, SECONDS)
    batch = next(call for call in calls if 300 in call)
    assert len([call for call in calls if call <= batch]) <= 4, "all, those before it, it alone, those after it"
    assert (letter := DeadLetter.objects.get()).offset == 300
    assert letter.attempts == 2


@pytest.mark.parametrize("wrong", [0.0, 0.5, 1.0], ids=["first", "middle", "last"])
def test_a_wrong_suspect_costs_attempts_only(sandbox: Sandbox, wrong: float) -> None:
    def fail_elsewhere(events: list[Any]) -> None:
        sandbox.handle(events)
        guilty = 300 in {event.n for event in events}
        for place, _ in enumerate(events):
            if guilty and place == int(wrong * (len(events) - 1)):
                raise ValueError("300")

    sandbox.consumer.handlers[sandbox.event] = fail_elsewhere
    sandbox.publish(*range(400), key="one")
    with sandbox.running():
        wait_until(lambda: len(sandbox.rows()) == 399, SECONDS)
    assert sandbox.rows() == [n for n in range(400) if n != 300]
    assert DeadLetter.objects.get().offset == 300
    assert sandbox.attempts <= 30, "still O(log n)"


def attempt_without(guilty: set[int], applied: list[int]) -> Callable[[list[Record]], Failure | None]:
    """Return an attempt on numbers that fails if one of them is guilty."""

    def attempt(records: list[Record]) -> Failure | None:
        numbers = cast(list[int], records)
        if guilty.intersection(numbers):
            return Failure(ValueError("guilty"))
        applied.extend(numbers)
        return None

    return attempt


@given(guilty=st.sets(st.integers(0, 200)), most=st.integers(1, 250))
def test_all_but_the_culprits_are_applied_once(guilty: set[int], most: int) -> None:
    applied: list[int] = []
    search = CulpritSearch(
        attempt_without(guilty, applied), group_size=GroupSize(most), limit=FailureLimit(in_a_row=1_000)
    )
    culprits = search.apply(cast(list[Record], list(range(201))))
    assert cast(list[int], [culprit.record for culprit in culprits]) == sorted(guilty)
    assert applied == [n for n in range(201) if n not in guilty]
