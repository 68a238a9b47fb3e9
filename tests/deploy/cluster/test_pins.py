"""What pins the cluster's programs."""

import re

import pytest

from deploy.cluster.definitions import MODULES
from deploy.cluster.programs import KUBERNETES, PROGRAMS, TOOLS


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_program_is_a_pinned_tool(name: str) -> None:
    program = PROGRAMS[name]
    folder = TOOLS / program.module
    assert re.search(rf"^(tool |\t){re.escape(program.package)}$", (folder / "go.mod").read_text(), re.MULTILINE)
    assert re.search(r" h1:\S{43}=$", (folder / "go.sum").read_text(), re.MULTILINE)


def test_definitions_are_pinned() -> None:
    sums = (TOOLS / "definitions" / "go.sum").read_text()
    for module in MODULES:
        assert re.search(rf"^{re.escape(module)} v\S+ h1:\S+=$", sums, re.MULTILINE), module


def test_keda_and_its_definitions_have_one_version() -> None:
    module = re.escape("github.com/kedacore/keda/v2")
    found = [re.search(rf"{module} (v\S+)", (TOOLS / name / "go.mod").read_text()) for name in ("keda", "definitions")]
    assert {match[1] for match in found if match} == {"v2.21.0"}


def test_version_is_that_of_the_sources() -> None:
    assert f"k8s.io/kubernetes v{KUBERNETES} " in (TOOLS / "kubernetes" / "go.mod").read_text()
