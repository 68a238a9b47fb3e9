"""The search for messages that make a handler fail.

Records are tried in groups. When a group fails, its first culprit is found by halving: O(log n)
attempts. If the handler failed at a certain event, the first cut is made there, and two more
attempts are usually enough. The records before a culprit are applied on the way.
"""

from collections.abc import Callable
from typing import NamedTuple

from kafka_bridge.consuming.culprits.attempt import Failure
from kafka_bridge.consuming.culprits.limits import FailureLimit, GroupSize
from kafka_bridge.consuming.record import Record
from kafka_bridge.events.event import Event

Attempt = Callable[[list[Record]], Failure | None]  # applies all of the records, or none and says why


class Culprit(NamedTuple):
    """A record that fails alone, its error, and how many attempts with it have failed."""

    record: Record
    error: Exception
    attempts: int


class CulpritSearch:
    """Applies records in groups and collects the culprits.

    The group size adapts to the failures.
    """

    def __init__(self, attempt: Attempt, *, group_size: GroupSize, limit: FailureLimit) -> None:
        self.attempt = attempt
        self.group_size = group_size
        self.limit = limit
        self.culprits: list[Culprit] = []
        self._in_a_row = 0  # culprits since the last attempt that passed

    def apply(self, records: list[Record], failure: Failure | None = None) -> list[Culprit]:
        """Apply all records but the culprits, in their order, and return the culprits.

        `failure`: why the first group has failed already, all records that fit into it. Raises
        TooManyDeadLetters, and what `attempt` raises.
        """
        done = 0
        while done < len(records):
            group = records[done : done + self.group_size.records]
            failure = failure or self._try(group)
            if failure:
                self.group_size.failed()
                done += self._apply_to_first_culprit(group, failure.suspect)
                failure = None
            else:
                self.group_size.passed(len(group))
                done += len(group)
        return self.culprits

    def _apply_to_first_culprit(self, group: list[Record], suspect: Event | None) -> int:
        """Find the first culprit of a group that failed, and apply the records before it.

        Returns how many records of the group are done, the culprit included.
        """
        applied, end = 0, len(group)  # the culprit is in group[applied:end]
        failures = 1
        while applied < end:
            middle = _cut(group, applied, end, suspect)
            failure = self._try(group[applied:middle])
            if failure is None:
                applied = middle
                continue
            failures += 1
            if middle - applied == 1:
                self._add(Culprit(group[applied], failure.error, failures))
                return middle
            end, suspect = middle, None  # the suspect was innocent: from here on by halves
        return end  # the group failed, but each part of it passed

    def _try(self, records: list[Record]) -> Failure | None:
        failure = self.attempt(records)
        if failure is None:
            self._in_a_row = 0
        return failure

    def _add(self, culprit: Culprit) -> None:
        """Add a culprit. Raises TooManyDeadLetters after too many in a row.

        The limit is checked here, and not only at the end of the batch, because a search for 2,000
        culprits would take long.
        """
        self.culprits.append(culprit)
        self._in_a_row += 1
        self.limit.check_in_a_row(self._in_a_row)


def _cut(group: list[Record], start: int, end: int, suspect: Event | None) -> int:
    """Return the place at which group[start:end] is cut in two.

    With a suspect, cut before it; if it is the first record, cut after it. Without a suspect, cut
    in the middle.
    """
    if suspect is not None:
        for place in range(start, end):
            if group[place].event is suspect:
                return max(place, start + 1)
    return start + max(1, (end - start) // 2)
