"""Apache Kafka's jars and their lock.

Tests with the fixture `stack` find the jars in the cache.
"""

import shutil
from pathlib import Path

import pytest

from deploy.embedded import StackError, jars


def copy_of_lock(folder: Path, artifact: str, sha256: str | None) -> Path:
    """Copy the real lock, with the checksum of one jar replaced or removed."""
    text = jars.LOCK.read_text()
    entry = text.split(f'artifactId = "{artifact}"')[1]
    line = next(line for line in entry.splitlines() if line.startswith("sha256"))
    copy = folder / "kafka.lock.toml"
    copy.write_text(text.replace(line, f'sha256 = "{sha256}"' if sha256 else ""))
    return copy


@pytest.mark.usefixtures("stack")
@pytest.mark.parametrize(("sha256", "complaint"), [("0" * 64, r"slf4j-simple.*mismatch"), (None, r"has no checksum")])
def test_tampered_lock_is_refused(tmp_path: Path, sha256: str | None, complaint: str) -> None:
    lock = copy_of_lock(tmp_path, "slf4j-simple", sha256)
    with pytest.raises(StackError, match=complaint):
        jars.classpath(lock=lock)


@pytest.mark.usefixtures("stack")
def test_altered_jar_is_refused(tmp_path: Path) -> None:
    cache = tmp_path / "jars"
    shutil.copytree(jars.CACHE, cache)
    assert len(jars.classpath(cache=cache)) > 40
    next(cache.rglob("slf4j-simple*.jar")).write_bytes(b"altered")
    with pytest.raises(StackError, match=f"slf4j-simple.*delete {cache}"):
        jars.classpath(cache=cache)


def test_unreachable_registry_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", "")
    with pytest.raises(StackError, match=r"cannot be downloaded from Maven Central.*check the network"):
        jars.classpath(cache=tmp_path)
