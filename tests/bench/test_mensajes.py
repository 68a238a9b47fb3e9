"""`bench mensajes`: its sales, its settings and its plots; a short run."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.mensajes.factors import FACTORS, Setting
from bench.mensajes.publish import Template
from bench.plots import plot
from bench.plots.mensajes import KINDS, by_setting
from kafka_bridge.events.codec import decode
from mamochi_site.local.system import CHECKOUT
from ventas.events import VentaRegistrada

PADDING = 3_000


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


def test_shortened_factors_keep_all_but_the_amount() -> None:
    short = FACTORS["lote"].shortened(5_000)
    assert short.settings[:2] == [Setting(batch=1, waiting=2_000), Setting(batch=20, waiting=5_000)]


@pytest.mark.chaos
@pytest.mark.alone
def test_short_run_is_audited_and_drawn(tmp_path: Path) -> None:
    factor = ("--factor", "tamano", "--rounds", "1", "--most", "10000")
    environment = os.environ | {"BENCH_RESULTS": str(tmp_path), "DEBUG": "true"}
    for variable in ("KAFKA_BOOTSTRAP_SERVERS", "DATABASE_URL", "CELERY_BROKER_URL", "EMAIL_URL"):
        environment.pop(variable, None)  # a stack of its own, not the tests'
    command = [sys.executable, "-m", "bench", "mensajes", *factor]
    done = subprocess.run(command, cwd=CHECKOUT, env=environment, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads((tmp_path / "mensajes-tamano.json").read_text())
    assert len(result["points"]) == 4
    assert result["also"]["audit: sales that are rows"] == sum(point["sales"] for point in result["points"]) > 30_000
    for point in result["points"]:
        assert point["rows per second"] > 0
        assert 0 < point["publish, p50"] <= point["publish, p99"]
        assert 0 < point["row, p50"] <= point["row, p99"]
    [drawn] = plot(tmp_path)
    assert drawn.name == "mensajes-tamano.svg"
    assert drawn.read_text().count("<path") > 30
