"""Yesterday's code, from git: what still runs while a new version is rolled out."""

import io
import subprocess
import tarfile
from pathlib import Path
from typing import Final

from mamochi_site.local.system import CHECKOUT

RELEASES: Final = "v[0-9]*"
# Until a version is tagged: a commit after which migrations have only been added.
FIRST: Final = "e3e10a0c8012897336ec37da135a74a6441c570e"
# What was downloaded; yesterday's code runs with today's packages.
SHARED: Final = (".venv", ".mamochi/jars")


def version() -> str:
    """Return the newest release before HEAD, or else FIRST; empty if the clone has neither."""
    released = _git("describe", "--tags", "--abbrev=0", f"--match={RELEASES}", "HEAD^").decode().strip()
    return next((name for name in (released, FIRST) if name and _git("cat-file", "-t", name)), "")


def changes(since: str, path: str) -> list[tuple[str, str]]:
    """Return what happened to the files under `path` since a version: letter (A, D, M) and name."""
    lines = _git("diff", "--name-status", "--no-renames", since, "--", path).decode().splitlines()
    return [(letter, name) for letter, name in (line.split("\t") for line in lines)]


def unpack(name: str, folder: Path) -> None:
    """Write the files of a version into a new folder, in which its processes can run."""
    folder.mkdir(parents=True)
    with tarfile.open(fileobj=io.BytesIO(_git("archive", "--format=tar", name))) as archive:
        archive.extractall(folder, filter="data")
    for part in SHARED:
        (folder / part).parent.mkdir(exist_ok=True)
        (folder / part).symlink_to((CHECKOUT / part).resolve())


def _git(*arguments: str) -> bytes:
    """Return what git prints; nothing if it fails, such as for a name that the clone lacks."""
    done = subprocess.run(["git", "-C", CHECKOUT, *arguments], capture_output=True, check=False)
    return done.stdout if done.returncode == 0 else b""
