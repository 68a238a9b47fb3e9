"""Who serves each consumer group, where Kafka says so: unknown is not the same as no process.

`list_groups` names the members' hosts. It asks every broker and keeps one error, which the next
good answer erases (librdkafka 2.16, rdkafka.c). While a broker is dead or loads its groups, they
may be missing without an error. So a group without members is looked up in `list_consumer_groups`,
which keeps the error of each broker.
"""

import time
import warnings
from collections.abc import Collection, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final, NamedTuple

from confluent_kafka import ConsumerGroupState
from confluent_kafka.admin import AdminClient, GroupMetadata, ListConsumerGroupsResult

OFFSETS_TOPIC: Final = "__consumer_offsets"  # the leader of one of its partitions coordinates a group
WITHOUT_MEMBERS: Final = (ConsumerGroupState.EMPTY, ConsumerGroupState.DEAD)
# A new coordinator has loaded its groups long before. Kafka forgets a group that nothing uses after
# ten minutes or more.
LISTED_SECONDS: Final = 60.0

_threads: Final = ThreadPoolExecutor(2, "kafka-groups")  # list_groups has no future of its own


def describe(admin: AdminClient, seconds: float) -> "Future[list[GroupMetadata]]":
    """Ask for all groups and their members.

    Not with describe_consumer_groups: librdkafka 2.16 aborts the process if a coordinator hangs
    (ADR 17).
    """
    return _threads.submit(_list_groups, admin, seconds)


def _list_groups(admin: AdminClient, seconds: float) -> list[GroupMetadata]:
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        return admin.list_groups(timeout=seconds)


class Groups(NamedTuple):
    """What the brokers answered about groups.

    `hosts` has the groups with members, `states` those that a broker listed. `is_complete`: a group
    that is in neither does not exist, or its coordinator has only just been elected.
    """

    hosts: dict[str, list[str]]
    states: dict[str, ConsumerGroupState]
    is_complete: bool

    @classmethod
    def read(
        cls, described: Iterable[GroupMetadata], listed: ListConsumerGroupsResult | None, *, all_led: bool
    ) -> "Groups":
        """Read the answers of `describe` and `list_consumer_groups`; either may be missing.

        `all_led`: each partition of OFFSETS_TOPIC has a leader.
        """
        hosts = {str(one.id): [str(member.client_host) for member in one.members] for one in described if one.members}
        listings: Iterable[Any] = (listed and listed.valid) or ()  # the stubs take a state for any Enum
        states = {one.group_id: one.state for one in listings}
        return cls(hosts, states, listed is not None and not listed.errors and all_led)

    def members(self, groups: Iterable[str], *, lately: Collection[str]) -> dict[str, list[str]]:
        """Return the members' hosts by group, empty where the group's coordinator knows no member.

        A group is left out if its coordinator did not answer. `lately`: the groups that were listed
        a moment ago. One of them that is missing has not ceased to exist: a new coordinator that
        has not begun to load its groups answers as if there were none.
        """
        known = (group for group in groups if group in self.hosts or self._is_empty(group, lately))
        return {group: self.hosts.get(group, []) for group in known}

    def _is_empty(self, group: str, lately: Collection[str]) -> bool:
        if group in self.states:
            return self.states[group] in WITHOUT_MEMBERS
        return self.is_complete and group not in lately


class ListedGroups:
    """Which groups a broker has listed in the last LISTED_SECONDS."""

    def __init__(self) -> None:
        self._moments: dict[str, float] = {}

    def note(self, groups: Iterable[str]) -> None:
        """Note that these are listed now."""
        self._moments |= dict.fromkeys(groups, time.monotonic())

    def lately(self) -> set[str]:
        oldest = time.monotonic() - LISTED_SECONDS
        return {group for group, moment in self._moments.items() if moment > oldest}

    def forget(self) -> None:
        self._moments.clear()
