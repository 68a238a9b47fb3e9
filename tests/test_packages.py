"""The lock: a fresh machine has Python, pip and venv, so every package must come as a wheel."""

import tomllib
from pathlib import Path

import pytest
from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import parse_wheel_filename

LOCK = tomllib.loads((Path(__file__).parents[1] / "uv.lock").read_text())
# Only in the group `parser`, which ./dev installs where there is a C compiler.
COMPILED = {"gunicorn-h1c"}


def linux(minor: int, machine: str) -> set[Tag]:
    """Return the tags of the wheels that Python 3.`minor` installs on a Linux of 2021 or newer."""
    platforms = [f"manylinux_2_{glibc}_{machine}" for glibc in range(34, 4, -1)]
    platforms += [f"manylinux{year}_{machine}" for year in ("2014", "2010", "1")]
    version = (3, minor)
    return {*cpython_tags(version, platforms=platforms), *compatible_tags(version, f"cp3{minor}", platforms)}


@pytest.mark.parametrize("minor", [11, 13])
def test_fresh_machine_compiles_nothing(minor: int) -> None:
    usable = linux(minor, "x86_64")
    # The lock may have versions of a package for older and newer Pythons.
    registered = [package for package in LOCK["package"] if "registry" in package["source"]]
    with_wheel = {
        package["name"]
        for package in registered
        for wheel in package.get("wheels", [])
        if usable & parse_wheel_filename(wheel["url"].rpartition("/")[2])[3]
    }
    assert {package["name"] for package in registered} - with_wheel == COMPILED


def test_only_one_group_needs_a_compiler() -> None:
    [project] = [package for package in LOCK["package"] if package["name"] == "mamochi"]
    groups = project["dev-dependencies"]
    needing = {name for name, needed in groups.items() if COMPILED & {one["name"] for one in needed}}
    assert needing == {"parser"}
    needed_by_packages = {one["name"] for package in LOCK["package"] for one in package.get("dependencies", [])}
    assert not COMPILED & needed_by_packages
