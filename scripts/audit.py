"""Known vulnerabilities of what uv.lock names: `uv export --frozen | python -m scripts.audit`.

pip-audit asks PyPI. Exit 1 where one is found. Where PyPI does not answer, or a mirror knows nothing of vulnerabilities, that
is said in a line and is no failure: an offline machine can still be worked on.
"""

import json
import re
import subprocess
import sys
from typing import Any, Final

COMMAND: Final = (
    *(sys.executable, "-m", "pip_audit", "--requirement", "/dev/stdin", "--disable-pip"),
    *("--format", "json", "--progress-spinner", "off", "--cache-dir", ".mamochi/pip-audit"),
)

OUT_OF_REACH: Final = re.compile(r"^requests\.exceptions\.\w+|Could not connect to PyPI|PyPI is not redirecting", re.M)


class Unanswered(Exception):
    """The vulnerability service could not be asked; says why."""


def ask() -> list[dict[str, Any]]:
    """pip-audit's entry of each package on stdin. Raises Unanswered, and RuntimeError where pip-audit itself failed."""
    found = subprocess.run(COMMAND, stdin=sys.stdin, capture_output=True, text=True, check=False)  # noqa: S603 - constant
    if found.stdout:
        packages: list[dict[str, Any]] = json.loads(found.stdout)["dependencies"]
        return packages
    if why := OUT_OF_REACH.search(found.stderr):
        raise Unanswered(why[0])
    raise RuntimeError(f"pip-audit failed:\n{found.stderr[-2_000:]}")


def lines(packages: list[dict[str, Any]]) -> list[str]:
    """One for each known vulnerability."""
    return [
        f"{package['name']} {package['version']}: {known['id']}, fixed in {' or '.join(known['fix_versions']) or 'no version'}"
        for package in packages
        for known in package.get("vulns", [])
    ]


def summary(packages: list[dict[str, Any]]) -> str:
    """How many were really asked about."""
    skipped = sum("skip_reason" in package for package in packages)
    if skipped:
        return f"NOT AUDITED: {skipped} of {len(packages)} packages, which the index in use tells nothing about."
    return f"{len(packages)} packages audited."


def main() -> int:
    try:
        packages = ask()
    except Unanswered as error:
        print(f"NOT AUDITED: the vulnerability service does not answer ({error}).")  # noqa: T201
        return 0
    vulnerable = lines(packages)
    print(*vulnerable, summary(packages), sep="\n")  # noqa: T201
    return 1 if vulnerable else 0


if __name__ == "__main__":
    sys.exit(main())
