"""Plots: the same result always gives the same file, so that a commit shows what has changed."""

from pathlib import Path

import pytest

from bench.plots import plot
from bench.result import RESULTS


@pytest.mark.slow
def test_the_same_json_gives_the_same_bytes(tmp_path: Path) -> None:
    for folder in ("first", "second"):
        (tmp_path / folder).mkdir()
        for name in ("carga", "mensajes-lote", "modelo"):
            (tmp_path / folder / f"{name}.json").write_text((RESULTS / f"{name}.json").read_text())
    first, second = plot(tmp_path / "first"), plot(tmp_path / "second")
    assert [path.name for path in first] == ["carga.svg", "mensajes-lote.svg", "modelo.svg"]
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
