"""What pins the cluster's programs, and what makes CI test the cluster again."""

import re
from pathlib import Path

import pytest

from deploy.cluster import inputs
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


def test_a_changed_input_changes_the_fingerprint(tmp_path: Path) -> None:
    manifest = tmp_path / "deploy" / "kubernetes" / "web.yaml"
    manifest.parent.mkdir(parents=True)
    manifest.write_text("replicas: 2\n")
    before = inputs.fingerprint(tmp_path)
    (manifest.parent / inputs.RECORD.name).write_text(before)
    assert inputs.fingerprint(tmp_path) == before
    manifest.write_text("replicas: 3\n")
    assert inputs.fingerprint(tmp_path) != before
    manifest.write_text("replicas: 2\n")
    manifest.rename(manifest.with_name("site.yaml"))
    assert inputs.fingerprint(tmp_path) != before
