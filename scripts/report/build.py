"""The compiler: Typst text and facts become a PDF, or pictures of its pages.

Only the fonts of the wheel are used, and the time of the build is left out: the same sources give
the same file on every machine.
"""

import json
import re
from pathlib import Path
from typing import Any, Final, Literal

import typst

Facts = dict[str, Any]
PIXELS_PER_INCH: Final = 144
TYPED: Final = re.compile(r"número escrito a mano en la página .+")  # as docs/informe/cifras.typ says it
EPOCH: Final = 0  # seconds; the PDF's time of creation


class ReportFailed(Exception):
    """The report cannot be built; the text tells what is missing or wrong in its sources."""


def build(source: Path, output: Path, *, facts: Facts, root: Path) -> None:
    """Write the PDF. Raises ReportFailed, also for what Typst only warns of."""
    output.write_bytes(_compile(source, "pdf", facts=facts, root=root)[0])


def pictures(source: Path, folder: Path, *, facts: Facts, root: Path) -> None:
    """Write each page as FOLDER/NN.png. Raises ReportFailed."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, page in enumerate(_compile(source, "png", facts=facts, root=root), 1):
        (folder / f"{number:02}.png").write_bytes(page)


def _compile(source: Path, form: Literal["pdf", "png"], *, facts: Facts, root: Path) -> list[bytes]:
    compiler = typst.Compiler(
        str(source), root=str(root), ignore_system_fonts=True, sys_inputs={"datos": json.dumps(facts)}
    )
    try:
        result, warnings = compiler.compile_with_warnings(format=form, ppi=PIXELS_PER_INCH, timestamp=EPOCH)
    except typst.TypstError as error:
        raise ReportFailed(_explanation(error)) from error
    if warnings:
        raise ReportFailed(_explanation(warnings[0]))
    return result if isinstance(result, list) else [result or b""]


def _explanation(error: "typst.TypstError | typst.TypstWarning") -> str:
    """Return the compiler's message with its place; of typed numbers, one line each."""
    typed = dict.fromkeys(TYPED.findall(error.diagnostic))
    return "\n  ".join(typed) or error.diagnostic or error.message
