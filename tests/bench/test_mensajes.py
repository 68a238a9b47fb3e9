"""`bench mensajes`: its sales, its settings and its plots; a short run."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.mensajes import memory
from bench.mensajes.factors import FACTORS, Setting
from bench.mensajes.point import STEADY
from bench.mensajes.publish import Publisher, Template
from bench.openloop.summary import Point
from bench.plots import plot
from bench.plots.mensajes import KINDS, by_setting
from kafka_bridge.events.codec import decode
from mamochi_site.local.system import CHECKOUT
from tests.support.needs import needs
from ventas.events import VentaRegistrada

PADDING = 3_000
FROM_DISK = "MB that the brokers read from the disk"


def test_copies_are_sales_with_ids_of_their_own() -> None:
    template = Template(PADDING)
    copies = [template.next() for _ in range(500)]
    events = [decode(dict(headers), value) for value, headers, _ in copies]
    assert all(isinstance(event, VentaRegistrada) for event in events)
    ids = [event.id for event in events]
    assert ids == sorted(set(ids))
    assert [dict(headers)["ce_id"] for _, headers, _ in copies] == [str(id_).encode() for id_ in ids]
    assert [event.key.encode() for event in events] == [key for _, _, key in copies]
    assert all(PADDING < len(value) < PADDING + 1_000 for value, _, _ in copies)


def test_each_factor_is_drawn_with_a_label_per_setting() -> None:
    assert KINDS.keys() == FACTORS.keys()
    for name, factor in FACTORS.items():
        settings = factor.settings
        labels = [KINDS[name].label(one.numbers() | {"bytes per message": one.padding}) for one in settings]
        assert len(set(labels)) == len(settings) > 2, name


def test_points_are_grouped_in_the_order_of_the_settings() -> None:
    points = [{"setting": number, "round": each} for each in (1.0, 2.0) for number in (1.0, 2.0, 10.0)]
    assert [[point["setting"] for point in group] for group in by_setting(points)] == [[1, 1], [2, 2], [10, 10]]


def test_shortened_factors_are_their_ends_with_a_smaller_amount() -> None:
    short = FACTORS["lote"].shortened(5_000)
    assert short.settings == [Setting(batch=1, waiting=2_000), Setting(batch=5_000, waiting=5_000)]


def test_producers_take_every_setting() -> None:
    """The short runs below leave out the settings between: acks=1 is one of them."""
    for factor in FACTORS.values():
        for setting in factor.settings:
            Publisher(setting)


@pytest.mark.chaos
@pytest.mark.alone
def test_short_runs_are_audited_and_drawn(tmp_path: Path) -> None:
    factors = FACTORS.keys() - {"cache"}
    # Each result is written before the next factor begins: the second `linger` adds to the first.
    short_run(tmp_path, *factors, "linger", "--add", most=20_000)
    for name in factors:
        check(tmp_path, name, rounds=2 if name == "linger" else 1)
    assert json.loads((tmp_path / "mensajes-linger.json").read_text())["settings"]["runs"] == 2
    assert {path.stem for path in plot(tmp_path)} == {f"mensajes-{name}" for name in factors}
    waiting = points_of(tmp_path, "esperando")
    assert all(point["publish while they wait, p50"] > 0 for point in waiting)
    assert all(
        0 < point["row behind those that wait"] <= 1_000 * point["seconds until the last row"] for point in waiting
    )
    assert all(10 < point["MB of the largest consumer"] < 500 for point in waiting)
    with_publishers = [*points_of(tmp_path, "brokers"), *points_of(tmp_path, "particiones")]
    assert all(point["acknowledged per second, 64 at once"] > 0 for point in with_publishers)


@pytest.mark.chaos
@pytest.mark.alone
@needs(memory.lack())
def test_a_page_cache_that_is_too_small_reads_the_disk(tmp_path: Path) -> None:
    short_run(tmp_path, "cache", most=40_000)  # 426 MB
    check(tmp_path, "cache", rounds=1)
    without, with_least = points_of(tmp_path, "cache")
    assert without[FROM_DISK] < 10
    assert with_least[FROM_DISK] > 100
    assert not list(memory.CONTROLLER.glob("mamochi-bench-*"))


def short_run(folder: Path, *factors: str, most: int) -> None:
    """Run the benchmark once, with its results in the folder; options may be among the factors."""
    options = [part for one in factors for part in ([one] if one.startswith("-") else ["--factor", one])]
    environment = os.environ | {"BENCH_RESULTS": str(folder), "DEBUG": "true"}
    for variable in ("KAFKA_BOOTSTRAP_SERVERS", "DATABASE_URL", "CELERY_BROKER_URL", "EMAIL_URL"):
        environment.pop(variable, None)  # a stack of its own, not the tests'
    command = [sys.executable, "-m", "bench", "mensajes", *options, "--rounds", "1", "--most", str(most)]
    done = subprocess.run(command, cwd=CHECKOUT, env=environment, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def points_of(folder: Path, name: str) -> list[Point]:
    points: list[Point] = json.loads((folder / f"mensajes-{name}.json").read_text())["points"]
    return points


def check(folder: Path, name: str, rounds: int) -> None:
    """Check what all factors have: their two settings in every round, audited, with times."""
    result, points = json.loads((folder / f"mensajes-{name}.json").read_text()), points_of(folder, name)
    places = [(number, setting) for number in range(1, rounds + 1) for setting in (1, 2)]
    assert [(point["round"], point["setting"]) for point in points] == places
    assert result["settings"]["rounds"] == rounds
    assert result["also"]["audit: sales that are rows"] == sum(point["sales"] for point in points)
    for point in points:
        assert point["sales"] >= point["waiting"] + STEADY
        assert point["rows per second"] > 0
        assert 0 < point["publish, p50"] <= point["publish, p99"]
        assert 0 < point["row, p50"] <= point["row, p99"]
