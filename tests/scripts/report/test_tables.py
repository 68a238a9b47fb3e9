"""Tables of Markdown documents, as the report reads them."""

from pathlib import Path

import pytest

from scripts.report.tables import tables_under

TEXT = """# Faults

## Runs

| seed | sales |
|---|---|
| 1 | 17,568 |

Between them.

| fault | lasted |
|:--|--:|
| `kill -9` | 0.1 / 2.4 |
| SIGSTOP | 1.0 |

## Later

| not | this |
|---|---|
| 1 | 2 |
"""


@pytest.fixture
def document(tmp_path: Path) -> Path:
    path = tmp_path / "doc.md"
    path.write_text(TEXT)
    return path


def test_tables_end_with_their_section(document: Path) -> None:
    runs, faults = tables_under(document, "## Runs")
    assert runs == [{"seed": "1", "sales": "17,568"}]
    assert faults == [{"fault": "`kill -9`", "lasted": "0.1 / 2.4"}, {"fault": "SIGSTOP", "lasted": "1.0"}]


@pytest.mark.parametrize(("heading", "complaint"), [("## Nada", "no heading"), ("# Faults", "no table")])
def test_missing_table_is_named(document: Path, heading: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        tables_under(document, heading)
