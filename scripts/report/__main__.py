"""`python -m scripts.report`: load the application, collect what the text names, build the PDF."""

import argparse
import os
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
SOURCE: Final = Path("docs/informe/informe.typ")


def main() -> int:
    """Build the report; return 1 if its text, or what the text reads, is wrong."""
    options = _options()
    # The report tells what ships: no deployment's own numbers of partitions.
    os.environ.pop("KAFKA_PARTITIONS", None)
    os.environ.update(DEBUG="true", DJANGO_SETTINGS_MODULE="mamochi_site.settings")
    import django

    django.setup()
    from scripts.report.build import ReportFailed, build, pictures
    from scripts.report.facts import collect

    try:
        facts = collect(options.root)
        build(options.root / SOURCE, options.output, facts=facts, root=options.root)
        if options.pictures:
            pictures(options.root / SOURCE, options.pictures, facts=facts, root=options.root)
    except ReportFailed as error:
        print(f"./dev informe: {error}", file=sys.stderr)
        return 1
    print(f"{options.output}: {options.output.stat().st_size // 1_000} kB")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./dev informe", description="Build docs/informe/informe.pdf.")
    parser.add_argument(
        "--root", type=Path, default=ROOT, help="the tree with docs/ and bench/results/ (default: here)"
    )
    parser.add_argument("--output", type=Path, help="the PDF to write (default: docs/informe/informe.pdf of the tree)")
    parser.add_argument("--pictures", type=Path, metavar="FOLDER", help="also write each page as a picture, to look at")
    options = parser.parse_args()
    options.root = options.root.resolve()
    options.output = options.output or options.root / SOURCE.with_suffix(".pdf")
    return options


if __name__ == "__main__":
    sys.exit(main())
