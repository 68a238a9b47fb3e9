"""Print what the checker finds in the folder of a run; exit code 1 if it finds anything."""

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from tests.chaos.checker.check import JOURNAL, STATE, check_folder
from tests.chaos.checker.findings import Finding, Promise

SHOWN: Final = 10  # findings per promise


def main() -> int:
    """Check the folder that the arguments name."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.checker", description=__doc__)
    parser.add_argument("folder", type=Path, help=f"where the run left {JOURNAL} and {STATE}")
    found = check_folder(parser.parse_args().folder)
    print(in_words(found))
    return 1 if found else 0


def in_words(found: Iterable[Finding]) -> str:
    """Return the findings by promise, the first ones of each in full."""
    parts = []
    findings = list(found)
    for promise in Promise:
        of = [finding for finding in findings if finding.promise == promise]
        parts += [str(finding) for finding in of[:SHOWN]]
        if len(of) > SHOWN:
            parts.append(f"[{promise}] and {len(of) - SHOWN} more")
    return "\n".join([*parts, f"{len(findings)} findings" if findings else "The checker found nothing."])


if __name__ == "__main__":
    sys.exit(main())
