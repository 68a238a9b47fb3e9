"""`.ci/unproven`: a long run is needed until it has passed with the inputs that are there."""

import shutil
import subprocess
from pathlib import Path

import pytest

UNPROVEN = Path(__file__).parents[1] / ".ci" / "unproven"


@pytest.fixture
def unproven(tmp_path: Path) -> Path:
    """Return the script in a checkout of its own, whose marker `engine` depends on one folder."""
    (tmp_path / ".ci" / "proven").mkdir(parents=True)
    (tmp_path / ".ci" / "proven" / "engine.inputs").write_text("# what a run depends on\nimage\n")
    for name in ("image", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("1")
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    subprocess.run(["git", "add", "image", "other"], check=True, cwd=tmp_path)
    return Path(shutil.copy2(UNPROVEN, tmp_path / ".ci"))


def is_needed(unproven: Path) -> bool:
    return not run(unproven)


def run(unproven: Path, *command: str) -> int:
    return subprocess.run([unproven, "engine", *command], check=False, capture_output=True).returncode


def test_run_is_needed_until_it_passes(unproven: Path) -> None:
    assert is_needed(unproven)
    assert run(unproven, "false") == 1
    assert is_needed(unproven)
    assert run(unproven, "true") == 0
    assert not is_needed(unproven)


@pytest.mark.parametrize(
    "change", ["echo 2 >image/file", "rm image/file", "mv image/file image/moved", "touch image/new"]
)
def test_changed_inputs_need_a_run(unproven: Path, change: str) -> None:
    run(unproven, "true")
    subprocess.run(["sh", "-c", change], check=True, cwd=unproven.parents[1])
    assert is_needed(unproven)


def test_other_files_need_no_run(unproven: Path) -> None:
    run(unproven, "true")
    (unproven.parents[1] / "other" / "file").write_text("2")
    assert not is_needed(unproven)


def test_change_during_a_run_is_not_proven(unproven: Path) -> None:
    assert run(unproven, "sh", "-c", "echo 2 >image/file") == 0
    assert is_needed(unproven)


def test_inputs_of_every_marker_exist() -> None:
    for inputs in (UNPROVEN.parent / "proven").glob("*.inputs"):
        paths = [line for line in inputs.read_text().splitlines() if not line.startswith("#")]
        assert paths
        assert [path for path in paths if not (UNPROVEN.parents[1] / path).exists()] == []
