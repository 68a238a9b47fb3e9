"""Tables of Markdown documents, as the report shows them."""

from pathlib import Path

Row = dict[str, str]


def tables_under(document: Path, heading: str) -> list[list[Row]]:
    """Return the tables between a heading and the next one, each row by the names of its columns.

    Raises ValueError if the document has no such heading or no table under it.
    """
    lines = document.read_text().splitlines()
    if heading not in lines:
        raise ValueError(f"{document.name} has no heading {heading!r}")
    tables: list[list[Row]] = []
    names: list[str] = []
    for line in lines[lines.index(heading) + 1 :]:
        if line.startswith("#"):
            break
        if not line.startswith("|"):
            names = []
        elif not names:
            names = _cells(line)
            tables.append([])
        elif not set(line) <= set("|-: "):
            tables[-1].append(dict(zip(names, _cells(line), strict=True)))
    if not tables:
        raise ValueError(f"{document.name} has no table under {heading!r}")
    return tables


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]
