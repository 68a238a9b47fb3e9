"""Every file and test that a document, a docstring or a comment names is there."""

import re
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parent.parent
FOLDERS: Final = (
    *("bench", "deploy", "docs", "gremio", "inscripciones", "kafka_bridge"),
    *("mamochi_site", "scripts", "stock", "tests", "ventas"),
)
FILES: Final = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*") if path.is_file())
DOCUMENTS: Final = [*sorted(ROOT.glob("*.md")), *(path for path in FILES if path.suffix == ".md")]
SOURCES: Final = [path for path in FILES if path.suffix == ".py"]
# Each file by its path and by every end of it: `ventas/libro.py` and `libro.py`.
ENDS: Final = {"/".join(path.relative_to(ROOT).parts[start:]) for path in FILES for start in range(5)} | {"manage.py"}

LINK: Final = re.compile(r"\]\((?!https?:|mailto:|#)([^)#\s]+)")
FILE: Final = re.compile(r"(?<![\w./{}*-])((?:[\w-]+/)*\w+\.py)\b(?:::(\w+))?")


def shown(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("document", DOCUMENTS, ids=shown)
def test_links_lead_somewhere(document: Path) -> None:
    links = LINK.findall(document.read_text())
    assert not [link for link in links if not (document.parent / link).exists()]


@pytest.mark.parametrize("document", DOCUMENTS, ids=shown)
def test_documents_name_files_that_exist(document: Path) -> None:
    assert not missing_in(document.read_text())


def test_comments_name_files_that_exist() -> None:
    found = {shown(source): missing_in("\n".join(prose_of(source))) for source in SOURCES}
    assert not {source: missing for source, missing in found.items() if missing}


def missing_in(text: str) -> list[str]:
    """Return the files, and the tests in files, that the text names and that do not exist."""
    named = FILE.findall(text)
    missing = [file for file, _ in named if file not in ENDS]
    tests = [(file, test) for file, test in named if test and file in ENDS]
    return missing + [f"{file}::{test}" for file, test in tests if f"def {test}(" not in (ROOT / file).read_text()]


def prose_of(source: Path) -> Iterator[str]:
    """Yield the comments and docstrings of a source file."""
    with tokenize.open(source) as file:
        for token in tokenize.generate_tokens(file.readline):
            if token.type == tokenize.COMMENT or token.string.startswith('"""'):
                yield token.string
