"""Ids of events: the same for the same cause, and in the order of the cause's time."""

import time
from uuid import RFC_4122, UUID, uuid4, uuid5

from kafka_bridge import conf
from kafka_bridge.events.ids import derived_id, uuid7


def milliseconds(ordered: UUID) -> int:
    return ordered.int >> 80


def test_a_new_id_tells_its_time() -> None:
    before, made, after = time.time_ns(), uuid7(), time.time_ns()
    assert before // 1_000_000 <= milliseconds(made) <= after // 1_000_000
    assert (made.version, made.variant) == (7, RFC_4122)
    assert len({uuid7() for _ in range(1_000)}) == 1_000


def test_a_random_cause_gives_a_uuid5() -> None:
    cause = uuid4()
    assert derived_id("sold", 1, cause) == derived_id("sold", "1", str(cause))
    assert derived_id("sold", 1, cause) == uuid5(conf.NAMESPACE, f"sold|1|{cause}")


def test_the_cause_gives_its_time_to_the_id() -> None:
    owner, cause = uuid4(), uuid7()
    made = derived_id("sold", owner, cause)
    assert made == derived_id("sold", owner, cause)
    assert milliseconds(made) == milliseconds(cause)
    assert (made.version, made.variant) == (8, RFC_4122)


def test_an_id_of_a_release_is_that_of_the_next() -> None:
    owner, cause = UUID("0f8fad5b-d9cb-469f-a165-70867728950e"), UUID("01a21611-afdf-7a95-a801-d116828f5da1")
    assert derived_id("sold", owner, cause) == UUID("01a21611-afdf-8ddb-8469-e0cb6f95c213")


def test_ids_of_the_same_time_differ_by_all_of_the_cause() -> None:
    cause = UUID("01a21611-afdf-7a95-a801-d116828f5da1")
    sibling = UUID("01a21611-afdf-7a95-a801-d116828f5da2")
    owners = [uuid4() for _ in range(500)]
    made = {
        derived_id(name, owner, each) for name in ("sold", "voided") for owner in owners for each in (cause, sibling)
    }
    assert len(made) == 2_000
    assert {milliseconds(one) for one in made} == {milliseconds(cause)}
