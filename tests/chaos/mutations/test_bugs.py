"""Each bug can still be planted: its text is in the tree, and what it becomes is Python."""

from pathlib import Path

import pytest

from tests.chaos.checker.findings import Promise
from tests.chaos.mutations.bugs import BUGS, SCENARIOS, Bug, Change
from tests.chaos.mutations.copies import TREE, TextIsGone, changed, copy


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_bug_can_be_planted(bug: Bug) -> None:
    texts = {change.file: (TREE / change.file).read_text() for change in bug.changes}
    for change in bug.changes:
        texts[change.file] = changed(change, texts[change.file])
    for file, text in texts.items():
        compile(text, file, "exec")
    assert bug.scenario in SCENARIOS


def test_changed_text_is_refused() -> None:
    change = Change("some.py", "x = 1", "x = 2")
    for text in ("y = 1", "x = 1\nx = 1"):
        with pytest.raises(TextIsGone):
            changed(change, text)


def test_copy_leaves_the_tree_alone(tmp_path: Path) -> None:
    change = next(bug for bug in BUGS if bug.promise == Promise.ONCE).changes[0]
    before = (TREE / change.file).read_text()
    copy(tmp_path / "copy", [change])
    assert (TREE / change.file).read_text() == before
    assert (tmp_path / "copy" / change.file).read_text() == changed(change, before)


def test_every_promise_has_a_bug() -> None:
    assert {bug.promise for bug in BUGS} >= set(Promise) - {Promise.ASKED}  # nothing of ours invents sales
