"""`bench demanda`: its day, its rule and its limits; a short run."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench import demanda
from bench.demanda import POLICIES, size, summaries
from bench.demanda.calibration import Phase, fit
from bench.demanda.day import HEAT, HOURS, Day, multiple_at
from bench.demanda.limits import CGROUPS, Limit, lack
from bench.demanda.policy import Autoscaler, Cron, Rule, pods_for, read_keda
from bench.plots import plot
from bench.result import RESULTS
from bench.simulacion import CHECKED
from deploy.embedded import StackError
from deploy.embedded.waiting import wait_until
from mamochi_site.local.system import CHECKOUT
from tests.support.needs import needs

RULE = Rule(threshold=500, least=1, most=6, every=5, stable=10)
CRON = Cron(11.5, 18, 2)
# Enough CPU for a pod to join soon; the day is too short for the policies to differ.
SHORT = ("demanda", "--seconds", "8", "--mean", "100", "--cores", "0.3")


def test_the_afternoon_sells_ten_times_the_mean_and_the_festival_more_from_one_minute_to_the_next() -> None:
    afternoon, before, festival = multiple_at(np.array([15.0, 20.5, 20.52]))
    assert afternoon == HEAT == 10
    assert festival > afternoon > 5 * before
    assert Day(120, 400).most == festival * 400


@settings(deadline=None)  # up to 460,000 sales, on a machine that may be busy
@given(st.floats(5, 300), st.floats(50, 500), st.integers(0, 100))
def test_sales_are_as_many_as_the_rate_says_and_in_order(seconds: float, mean: float, seed: int) -> None:
    day = Day(seconds, mean)
    moments = day.sales(seed)
    assert np.all(np.diff(moments) >= 0)
    assert 0 <= moments[0] <= moments[-1] <= seconds
    hours = np.linspace(0, HOURS, 100_001)
    expected = mean * seconds * float(np.mean(multiple_at(hours)))
    assert len(moments) == pytest.approx(expected, abs=6 * expected**0.5 + 1e-3 * expected)


def test_a_day_is_the_same_again_with_its_seed_only() -> None:
    day = Day(10, 400)
    assert np.array_equal(day.sales(1), day.sales(1))
    assert not np.array_equal(day.sales(1)[:100], day.sales(2)[:100])


@pytest.mark.parametrize(
    ("lag", "pods", "wanted"),
    [
        (0, 1, 1),
        (501, 1, 1),  # within a tenth of the threshold
        (600, 1, 2),
        (1_400, 1, 3),
        (100_000, 6, 6),  # no more than partitions
        (100_000, 1, 5),  # four more at once, as Kubernetes does
        (100_000, 0, 1),  # the first one is KEDA's
    ],
)
def test_pods_follow_the_lag(lag: float, pods: int, wanted: int) -> None:
    assert Autoscaler(RULE).decide(0, lag=lag, hour=3, pods=pods) == wanted


def test_pods_end_only_when_all_proposals_of_a_while_are_lower() -> None:
    scaler = Autoscaler(RULE)
    assert scaler.decide(0, lag=2_000, hour=3, pods=1) == 4
    assert scaler.decide(5, lag=0, hour=3, pods=4) == 4
    assert scaler.decide(9, lag=700, hour=3, pods=4) == 4
    assert scaler.decide(15, lag=0, hour=3, pods=4) == 2
    assert scaler.decide(25, lag=0, hour=3, pods=2) == 1


def test_in_its_hours_cron_asks_for_pods_that_lag_does_not() -> None:
    rule = Rule(500, 1, 6, 5, 10, CRON)
    wanted = [rule.proposal(0, hour, 1) for hour in (11.4, 11.5, 17.9, 18.0)]
    assert wanted == [1, 2, 2, 1]
    assert rule.proposal(2_000, 12, 1) == 4


def test_the_project_s_settings_are_read() -> None:
    keda = read_keda()
    assert keda.threshold > 1_000
    assert 1 <= keda.least < keda.most
    assert 0 < keda.polling < 60
    assert 0 < keda.cron.start < keda.cron.end < HOURS
    assert keda.cron.replicas > keda.least


@pytest.mark.parametrize(("rate", "pods"), [(900, 1), (1_100, 2), (2_500, 4), (4_000, 5), (6_000, 8), (1e9, 12)])
def test_a_pod_carries_whole_partitions_of_which_some_have_no_sales(rate: float, pods: int) -> None:
    """Four pods have at most four of fifteen partitions, that is a third of the sales."""
    assert pods_for(rate, 1_000) == pods


def test_the_threshold_is_as_many_seconds_of_work_as_the_project_s() -> None:
    unlimited = json.loads((RESULTS / "sink.json").read_text())["medians"]["contabilidad"]
    sized = size({"rows per second": unlimited / 50}, Day(120, unlimited / 100))
    assert sized["threshold"] == pytest.approx(read_keda().threshold / 50)
    assert sized["pods for the mean"] == 1
    assert sized["pods for the peak"] > 6


def test_the_costs_of_work_are_found_again() -> None:
    work = [(10.0, 0, 0), (10.0, 140, 4_000), (8.0, 40, 10_000)]
    phases = [
        Phase(seconds, batches, rows, (0.004 * seconds + 2e-3 * batches + 30e-6 * rows, 1e-3 * batches + 10e-6 * rows))
        for seconds, batches, rows in work
    ]
    found = fit(tuple(phases))
    assert found["cores at rest, pod"] == pytest.approx(0.004, rel=0.01)
    assert found["ms per batch, pod"] == pytest.approx(2, rel=0.01)
    assert found["µs per row, pod"] == pytest.approx(30, rel=0.01)
    assert found["ms per batch, PostgreSQL"] == pytest.approx(1, rel=0.01)
    assert found["µs per row, PostgreSQL"] == pytest.approx(10, rel=0.01)


@needs(lack())
def test_a_limited_process_gets_its_share_and_its_limit_is_removed() -> None:
    limit = Limit(f"mamochi-test-{os.getpid()}", 0.1)
    endless = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        limit.add(endless.pid)
        used, began = _cpu_seconds(endless.pid), time.monotonic()
        wait_until(lambda: _cpu_seconds(endless.pid) > used + 0.2, 30)
        took = time.monotonic() - began
    finally:
        endless.kill()
        endless.wait()
        limit.remove()
    assert took > 1, "without a limit 0.2 s of CPU take 0.2 s, with a tenth of a core 2 s"
    assert not list(CGROUPS.glob("**/mamochi-test-*"))


def _cpu_seconds(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system


def test_rounds_are_added_to_those_with_the_same_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _copy(tmp_path, "sink", "demanda")
    monkeypatch.setattr(demanda, "RESULTS", tmp_path)
    before = demanda.read("demanda")
    names = {"seconds": "seconds", "mean": "mean, sales per second", "cores": "cores of a pod", "seed": "seed"}
    same = [f"--{option}={before['settings'][name]}" for option, name in names.items()]
    options = demanda.arguments([*same, "--add"])
    points, number = demanda.begun(options)
    assert points == before["points"]
    assert number == before["settings"]["rounds"] + 1
    another = [point | {"round": number} for point in points if point["round"] == 1]
    result = demanda.result([*points, *another], options, {})
    assert result.settings["rounds"] == number
    assert result.rounds == {name: [*waits, waits[0]] for name, waits in before["rounds"].items()}
    assert demanda.begun(demanda.arguments(same)) == ([], 1)
    with pytest.raises(StackError, match="with other settings: mean"):
        demanda.begun(demanda.arguments([*same, "--add", "--mean=51"]))
    (tmp_path / "demanda.json").unlink()
    assert demanda.begun(options) == ([], 1)


@needs(lack())
@pytest.mark.chaos
@pytest.mark.alone
def test_short_run_is_audited_simulated_and_drawn(tmp_path: Path) -> None:
    _copy(tmp_path, "sink", "cluster", "mensajes-lote", "modelo")
    measured = _command(tmp_path, *SHORT)
    assert measured.returncode == 0, measured.stdout + measured.stderr
    result = json.loads((tmp_path / "demanda.json").read_text())
    assert result["also"]["audit of the last run: rows"] == result["also"]["audit of the last run: counted"]
    for index, name in enumerate(POLICIES):
        [one] = summaries(result["points"], index)
        assert result["rounds"][name] == [one["row, p99, ms"]]
        assert one["accepted"] > 1_000
        assert 0 < one["row, p50, ms"] <= one["row, p99, ms"]
        assert one["process-hours"] >= HOURS
        assert one["CPU-seconds of pods"] > 0
        series = [point for point in result["points"] if point.get("policy") == index and "s" in point]
        assert {point["round"] for point in series} == {1}
    assert not list(CGROUPS.glob("**/mamochi-pod-*"))
    simulated = _command(tmp_path, "simulacion", "--most", "10000", "--replications", "1")
    assert simulated.returncode == 0, simulated.stdout + simulated.stderr
    checked = json.loads((tmp_path / "simulacion.json").read_text())
    assert len(checked["rounds"]) == len(POLICIES) * len(CHECKED) + 4
    assert {path.name for path in plot(tmp_path)} >= {"demanda.svg", "simulacion.svg"}


def _copy(folder: Path, *names: str) -> None:
    """Copy committed results."""
    for name in names:
        (folder / f"{name}.json").write_text((RESULTS / f"{name}.json").read_text())


def _command(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"BENCH_RESULTS": str(folder), "DEBUG": "true"}
    for variable in ("KAFKA_BOOTSTRAP_SERVERS", "DATABASE_URL", "CELERY_BROKER_URL", "EMAIL_URL"):
        environment.pop(variable, None)  # a stack of its own, not the tests'
    command = [sys.executable, "-m", "bench", *options]
    return subprocess.run(command, cwd=CHECKOUT, env=environment, check=False, capture_output=True, text=True)
