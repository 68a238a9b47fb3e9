"""Copies of the tree, into which a bug is planted; the tree itself never changes."""

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from tests.chaos.mutations.bugs import Change

TREE: Final = Path(__file__).resolve().parents[3]
# What a run needs: the code, and what was downloaded, which copies share.
PARTS: Final = (
    *("kafka_bridge", "gremio", "inscripciones", "stock", "ventas", "mamochi_site", "deploy", "tests/chaos"),
    *("manage.py", "pyproject.toml", "tests/__init__.py"),
)
SHARED: Final = (".venv", ".mamochi/jars")


class TextIsGone(Exception):
    """The text that a change replaces is not there exactly once: adapt the change in bugs.py."""


def copy(folder: Path, changes: Iterable[Change]) -> None:
    """Copy what a run needs into an empty folder, and make the changes there.

    Raises TextIsGone.
    """
    for part in PARTS:
        source, target = TREE / part, folder / part
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, target)
    for part in SHARED:
        (folder / part).parent.mkdir(exist_ok=True)
        (folder / part).symlink_to((TREE / part).resolve())
    for change in changes:
        path = folder / change.file
        path.write_text(changed(change, path.read_text()))


def changed(change: Change, text: str) -> str:
    """Return the text of a file with the change. Raises TextIsGone."""
    times = text.count(change.old)
    if times != 1:
        raise TextIsGone(f"{change.file} has {times} times: {change.old!r}")
    return text.replace(change.old, change.new)
