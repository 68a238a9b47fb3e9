"""Report known vulnerabilities of the packages in uv.lock.

    uv export --frozen | python -m scripts.audit

pip-audit asks PyPI. The exit code is 1 if a vulnerability is found. If PyPI does not answer, or a
mirror has no data about vulnerabilities, one line says so and the exit code is 0, so that work
without a network is possible.
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

UNREACHABLE: Final = re.compile(r"^requests\.exceptions\.\w+|Could not connect to PyPI|PyPI is not redirecting", re.M)


class ServiceUnreachable(Exception):
    """The vulnerability service cannot be reached; the text is the reason."""


def ask() -> list[dict[str, Any]]:
    """Return pip-audit's entry of each package on stdin.

    Raises ServiceUnreachable, and RuntimeError if pip-audit itself fails.
    """
    found = subprocess.run(COMMAND, stdin=sys.stdin, capture_output=True, text=True, check=False)
    if found.stdout:
        packages: list[dict[str, Any]] = json.loads(found.stdout)["dependencies"]
        return packages
    if reason := UNREACHABLE.search(found.stderr):
        raise ServiceUnreachable(reason[0])
    raise RuntimeError(f"pip-audit failed:\n{found.stderr[-2_000:]}")


def lines(packages: list[dict[str, Any]]) -> list[str]:
    """Return one line per known vulnerability."""
    found = []
    for package in packages:
        for known in package.get("vulns", []):
            fixed_in = " or ".join(known["fix_versions"]) or "no version"
            found.append(f"{package['name']} {package['version']}: {known['id']}, fixed in {fixed_in}")
    return found


def summary(packages: list[dict[str, Any]]) -> str:
    """Return a line with the number of packages that were audited, or that were not."""
    skipped = sum("skip_reason" in package for package in packages)
    if skipped:
        return f"NOT AUDITED: {skipped} of {len(packages)} packages, because the package index has no data about them."
    return f"{len(packages)} packages audited."


def main() -> int:
    """Print the vulnerabilities and a summary, and return the exit code."""
    try:
        packages = ask()
    except ServiceUnreachable as error:
        print(f"NOT AUDITED: the vulnerability service does not answer ({error}).")
        return 0
    vulnerable = lines(packages)
    print(*vulnerable, summary(packages), sep="\n")
    return 1 if vulnerable else 0


if __name__ == "__main__":
    sys.exit(main())
