"""A claim may depend on what the database says in the same statement."""

from datetime import UTC, datetime
from typing import Final
from uuid import UUID

import pytest

from kafka_bridge.models import Claim
from kafka_bridge.publishing import claims
from kafka_bridge.publishing.claims import Condition

pytestmark = pytest.mark.django_db

NOW: Final = datetime(2026, 11, 27, 8, 0, tzinfo=UTC)
BELOW: Final = "SELECT WHERE sent.number < %s::int"


def below_two(numbers: dict[UUID, int]) -> Condition:
    return Condition("number int", BELOW, [2], {id_: {"number": number} for id_, number in numbers.items()})


@pytest.mark.parametrize("count", [4, 2 * claims.FEW])
def test_only_what_the_condition_allows_is_stored(count: int) -> None:
    ids = [UUID(int=number) for number in range(count)]
    below = below_two({id_: number for number, id_ in enumerate(ids)})
    for is_new in (True, False):
        claimed = claims.claim({id_: {} for id_ in ids}, at=NOW, only_if=below)
        assert {id_: one.is_new for id_, one in claimed.items()} == dict.fromkeys(ids[:2], is_new)
        assert set(Claim.objects.values_list("pk", flat=True)) == set(ids[:2])


def test_what_was_not_given_is_not_allowed() -> None:
    assert claims.claim({UUID(int=1): {}}, at=NOW, only_if=below_two({})) == {}


def test_an_earlier_claim_is_told_to_those_who_are_allowed_only() -> None:
    id_ = UUID(int=1)
    claims.claim({id_: {"text": "first"}}, at=NOW)
    for number, told in ((1, ["first"]), (2, [])):
        claimed = claims.claim({id_: {"text": "second"}}, at=NOW, only_if=below_two({id_: number}))
        assert [one.first["text"] for one in claimed.values()] == told
