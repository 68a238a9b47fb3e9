"""What the tests with the marker `cluster` read, and whether it is what their last green run read.

    python -m deploy.cluster.inputs            exits 1 if something changed since: CI then runs them
    python -m deploy.cluster.inputs --write    after a green `./dev test -m cluster -n 0`

They build Kubernetes' API server from source, which would take minutes of every run of CI.
"""

import hashlib
import sys
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
RECORD = Path(__file__).with_name("tested.sha256")
FOLDERS = ("deploy/cluster", "deploy/kubernetes", "tests/deploy/kubernetes")


def fingerprint(checkout: Path = CHECKOUT) -> str:
    """Return a hash of names and contents of all input files."""
    digest = hashlib.sha256()
    for path in sorted(path for folder in FOLDERS for path in (checkout / folder).rglob("*")):
        if path.is_file() and path.name != RECORD.name and "__pycache__" not in path.parts:
            digest.update(f"{path.relative_to(checkout)}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()


def unchanged() -> bool:
    """Return True if the inputs are those of the last green run."""
    return RECORD.exists() and RECORD.read_text().strip() == fingerprint()


if __name__ == "__main__":
    if "--write" in sys.argv:
        RECORD.write_text(f"{fingerprint()}\n")
    sys.exit(0 if unchanged() else 1)
