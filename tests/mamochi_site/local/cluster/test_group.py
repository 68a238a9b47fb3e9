"""What the looks at a group say about a rebalance."""

import pytest

from mamochi_site.local.cluster.group import Look, Watch


def watch(*shared_out: int) -> Watch:
    """Return a watch with a look each half second, by as many members as shared the partitions."""
    watch = Watch()
    watch.looks = [Look(number / 2, 2, sharing, sharing, 6, 10 * number) for number, sharing in enumerate(shared_out)]
    return watch


@pytest.mark.parametrize(
    ("shared_out", "since", "seconds"),
    [
        ((1, 1, 1), 0.0, 0.0),
        ((1, 0, 0, 2), 0.0, 1.0),
        ((1, 0, 0, 2, 0, 2), 0.0, 1.5),
        ((0, 0, 2, 2), 1.0, 0.0),
        ((), 0.0, 0.0),
    ],
)
def test_the_time_in_which_partitions_move(shared_out: tuple[int, ...], since: float, seconds: float) -> None:
    assert watch(*shared_out).moving_since(since) == seconds


def test_the_newest_look_decides_who_shares() -> None:
    assert watch(1, 2).shared_by(2, 6)
    assert not watch(2, 1).shared_by(2, 6)
    assert not watch(2).shared_by(2, 12)
    assert not watch().shared_by(0, 6)


def test_the_most_that_waited() -> None:
    assert watch(1, 1, 1).most_lag_since(0.5) == 20
    assert watch().most_lag_since(0.0) == 0
