"""The model: the law is found again in points made from it, and guilds grow as they must."""

import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.modelo import points
from bench.modelo.law import Estimate, Fitted, cores, fit, steps_of
from bench.modelo.scale import FULL, contention, full_at, plan
from bench.openloop.orders import MEAN_SECONDS
from bench.plots import plot
from bench.result import RESULTS
from mamochi_site.local.system import CHECKOUT

LAW = (0.5e-3, 8e-3, 0.03)  # 0.5 ms a sale, 8 ms a batch, of 30 ms
RATES = (25, 50, 100, 200, 400)


def measured(noise: float, seed: int, rounds: int = 3) -> list[tuple[float, float]]:
    chance = np.random.default_rng(seed)
    each = [(float(rate), float(cores(np.array([rate]), *LAW)[0])) for rate in RATES for _ in range(rounds)]
    return [(rate, used * float(chance.normal(1, noise))) for rate, used in each]


@settings(max_examples=20)
@given(st.floats(0.1e-3, 5e-3), st.floats(1e-3, 50e-3), st.floats(0.005, 0.5))
def test_the_law_is_found_again_in_points_without_noise(sale: float, batch: float, gather: float) -> None:
    rates = np.array([20.0, 50, 100, 200, 400, 800])
    found = fit(rates, cores(rates, sale, batch, gather))
    assert cores(rates, *found) == pytest.approx(cores(rates, sale, batch, gather), rel=0.02)


def test_rounds_of_a_rate_are_one_step_and_each_point_is_in_one() -> None:
    """Otherwise resamples have more points than were measured, and intervals are too narrow."""
    steps = steps_of(np.array([50.2, 99.8, 49.3, 101.0, 50.0, 200.0]))
    assert [sorted(step.tolist()) for step in steps] == [[0, 2, 4], [1, 3], [5]]


def test_a_sale_costs_less_where_there_are_more_and_never_less_than_its_own_part() -> None:
    rates = np.array([1.0, 10, 100, 1_000, 100_000])
    costs = cores(rates, *LAW) / rates
    assert all(after < before for before, after in pairwise(costs))
    assert costs[0] == pytest.approx(LAW[0] + LAW[1], rel=0.05)
    assert costs[-1] == pytest.approx(LAW[0], rel=0.01)


def test_most_intervals_hold_a_measurement_that_was_left_out() -> None:
    """Of 20 sets of noisy points, 95 % intervals miss the noisy point beyond them a few times."""
    inside = 0
    for seed in range(20):
        law = Fitted(measured(0.05, seed), seed)
        rate = 600.0
        true = float(cores(np.array([rate]), *LAW)[0]) / rate * 1_000
        inside += law.cost(rate, with_noise=True).holds(true * float(np.random.default_rng(100 + seed).normal(1, 0.05)))
    assert inside >= 14


def test_more_noise_gives_a_wider_interval() -> None:
    wide, narrow = (Fitted(measured(noise, 1), 1).cost(600) for noise in (0.2, 0.02))
    assert wide.high - wide.low > 3 * (narrow.high - narrow.low)


def test_larger_guilds_need_more_of_all_and_the_database_is_full_where_it_is_said() -> None:
    law = Fitted(measured(0.02, 1), 1)
    parts = dict.fromkeys(points.PARTS, law)
    speeds = {"contabilidad": 40_000.0, "inventario": 20_000.0}
    small, large = (plan(size, parts, 1_000, speeds, 1.2) for size in (10_000, 1_000_000))
    assert large.cores["web"].value == pytest.approx(100 * small.cores["web"].value)
    assert large.cores["Kafka"].value == pytest.approx(3 * large.cores["web"].value)  # three replicas
    assert large.processes["inventario"] == -(-1_000_000 // round(MEAN_SECONDS * FULL * 20_000))
    assert small.partitions == {"mamochi.ventas": 6, "mamochi.stock": 2 * small.processes["distribuidores"]}
    full = full_at(law, 1_000)
    rate = full.value / MEAN_SECONDS
    assert rate * law.cost(1_000).value / 1_000 == pytest.approx(FULL * 32)
    assert full.low < full.value < full.high


def test_contention_is_none_where_two_cores_carry_twice_as_much() -> None:
    assert contention([100.0], [200.0]) == Estimate(0.0, 0.0, 0.0)
    assert contention([100.0], [100.0]).value == 1.0
    spread = contention([90.0, 100.0, 110.0], [150.0, 160.0, 170.0])
    assert spread.value == pytest.approx(0.25)
    assert spread.low == pytest.approx(2 * 90 / 170 - 1)
    assert spread.high == pytest.approx(2 * 110 / 150 - 1)


@pytest.mark.slow
def test_the_committed_result_is_what_its_sources_give(tmp_path: Path) -> None:
    """`./dev bench modelo` computes from bench/results alone, and its plot from its JSON alone."""
    for source in ("carga", "carga-1-core", "api", "sink", "inventario"):
        if (RESULTS / f"{source}.json").exists():
            (tmp_path / f"{source}.json").write_text((RESULTS / f"{source}.json").read_text())
    environment = {"PATH": "/usr/bin:/bin", "BENCH_RESULTS": str(tmp_path), "DEBUG": "true"}
    command = [sys.executable, "-m", "bench", "modelo"]
    done = subprocess.run(command, cwd=CHECKOUT, env=environment, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    new, committed = (json.loads((folder / "modelo.json").read_text()) for folder in (tmp_path, RESULTS))
    assert new["settings"] == committed["settings"], "a source is newer: run ./dev bench modelo"
    assert new["also"] == {name: pytest.approx(figure, rel=0.05) for name, figure in committed["also"].items()}
    assert "modelo.svg" in {path.name for path in plot(tmp_path)}
