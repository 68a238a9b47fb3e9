"""The simulation: small cases that can be worked out by hand, and sales that all become rows."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.demanda.day import Day
from bench.demanda.policy import Cron, Rule
from bench.demanda.trial import Policy
from bench.simulacion.arrivals import Arrivals, at_once, from_counts, of_day
from bench.simulacion.engine import Consumers, Outcome, Simulation, evenly
from bench.simulacion.pods import Clock, Costs

FREE = Costs(limit=1, rest=0, batch=0, row=1e-9, database_batch=0, database_row=0)
RULE = Rule(threshold=500, least=1, most=4, every=5, stable=10)


def simulate(arrivals: Arrivals, policy: Policy, consumers: Consumers) -> Outcome:
    return Simulation(arrivals, policy, consumers, lambda second: second / 5).run()


def test_a_limit_is_counted_in_periods_and_what_is_left_of_one_is_lost() -> None:
    clock = Clock(0.05)  # 5 ms of each 100
    assert clock.work(0.0, 0.004) == pytest.approx(0.004)
    assert clock.work(0.010, 0.004) == pytest.approx(0.103)
    assert clock.work(0.310, 0.005) == pytest.approx(0.315)
    assert clock.work(0.320, 0.012) == pytest.approx(0.602)


@given(st.floats(0.01, 0.5), st.lists(st.floats(1e-4, 0.2), min_size=1, max_size=30))
def test_no_limit_is_exceeded_and_little_of_it_is_lost(cores: float, works: list[float]) -> None:
    clock, now = Clock(cores), 0.0
    for work in works:
        now = clock.work(now, work)
    periods = now / 0.1
    assert sum(works) <= cores * 0.1 * (periods + 1) + 1e-9
    assert sum(works) >= cores * 0.1 * (periods - 1) - 1e-9


def test_a_pod_without_a_limit_works_at_once() -> None:
    assert Clock(1).work(3.0, 0.7) == 3.7


def test_the_waits_of_a_backlog_are_those_of_its_batches() -> None:
    """Three full batches of 1 s each."""
    costs = replace(FREE, row=1 / 2_000)
    outcome = simulate(at_once(6_000, 1, 0.001), Policy("one", 1), Consumers(costs, 0, 0))
    assert outcome.ended == pytest.approx(3, abs=0.1)
    assert outcome.batches == 3
    assert outcome.cpu == pytest.approx(3)
    assert sorted(set(np.round(outcome.waits))) == [1, 2, 3]


@given(st.lists(st.integers(0, 1_000), min_size=1, max_size=12), st.floats(0, 1))
def test_a_full_batch_is_taken_from_all_partitions(there: list[int], share: float) -> None:
    rows = int(share * sum(there))
    shares = evenly(rows, [(waiting, partition) for partition, waiting in enumerate(there)])
    assert sum(taken for taken, _ in shares) == rows
    taken = {partition: one for one, partition in shares}
    assert all(0 <= taken[partition] <= waiting for partition, waiting in enumerate(there))
    # Who has something left has given as much as any other.
    given_by_rich = [taken[partition] for partition, waiting in enumerate(there) if taken[partition] < waiting]
    assert not given_by_rich or min(given_by_rich) >= max(taken.values()) - 1


def test_two_pods_take_half_the_time_of_one() -> None:
    costs, sales = replace(FREE, row=1e-3), at_once(20_000, 4, 0.001)
    ended = [simulate(sales, Policy("", pods), Consumers(costs, 0, 0)).ended for pods in (1, 2)]
    assert ended == [pytest.approx(20, abs=0.1), pytest.approx(10, abs=0.1)]


def test_a_pod_that_can_wait_gathers_sales() -> None:
    sales = from_counts(0.01, np.full((1, 1_000), 2))  # 200/s for 10 s
    outcome = simulate(sales, Policy("one", 1), Consumers(FREE, 0, 0, gather=0.07))
    assert outcome.batches == pytest.approx(10 / 0.07, rel=0.02)
    assert 0.02 < np.mean(outcome.waits) < 0.05


def test_a_turn_that_stands_for_many_batches_costs_what_they_do() -> None:
    day, costs = Day(200, 300), Costs(1, 0, 2e-3, 30e-6, 1e-3, 10e-6)
    sales = of_day(day, 4, 0.01, seed=1)
    fine, coarse = (simulate(sales, Policy("one", 1), Consumers(costs, 0, 0, step=step)) for step in (0.0, 1.0))
    assert coarse.cpu == pytest.approx(fine.cpu, rel=0.05)
    assert coarse.batches == pytest.approx(fine.batches, rel=0.1)


def test_pods_that_start_help_only_when_they_have_partitions() -> None:
    costs, sales = replace(FREE, row=1e-3), at_once(20_000, 4, 1.0)
    soon, late = (simulate(sales, Policy("", 1, RULE), Consumers(costs, start, 0)).ended for start in (1, 10))
    assert soon < late - 5
    assert late < 20


def test_the_rule_ends_pods_after_a_while() -> None:
    counts = np.zeros((4, 60), dtype=np.int64)
    counts[:, 0] = 2_500
    outcome = simulate(from_counts(1.0, counts), Policy("", 1, RULE), Consumers(replace(FREE, row=1e-3), 1, 1))
    pods = [pods for _, _, pods in outcome.series]
    assert max(pods) == 4
    assert pods[-1] == 1
    assert outcome.pod_seconds == pytest.approx(sum(pods), rel=0.05)


COSTS = st.builds(
    lambda limit: Costs(limit, limit / 10, 1e-3, 20e-6, 1e-3, 10e-6),
    st.floats(0.02, 1),
)


@settings(max_examples=40, deadline=None)
@given(
    st.builds(Day, st.floats(5, 60), st.floats(5, 200)),
    st.integers(1, 12),
    st.builds(Consumers, COSTS, st.floats(0, 8), st.floats(0, 8)),
    st.sampled_from([None, Cron(11.5, 18, 2)]),
    st.integers(0, 9),
)
def test_every_sale_becomes_a_row_once(
    day: Day, partitions: int, consumers: Consumers, cron: Cron | None, seed: int
) -> None:
    sales = of_day(day, partitions, 0.01, seed)
    policy = Policy("", 1, Rule(100, 1, partitions, 2, 4, cron))
    outcome = Simulation(sales, policy, consumers, day.hour).run()
    assert outcome.rows == sales.count == len(outcome.waits)
    assert np.all(outcome.waits >= 0)
    assert outcome.ended >= day.seconds - 0.02
    assert outcome.pod_seconds >= day.seconds - 0.02
    cores = consumers.costs.limit
    assert outcome.cpu <= cores * outcome.pod_seconds + 0.1 * cores * partitions
