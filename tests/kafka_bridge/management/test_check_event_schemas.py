"""`manage.py check_event_schemas`."""

from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from kafka_bridge import conf
from kafka_bridge.events import Event, schemas
from kafka_bridge.events.event import registered
from tests.support.declare import redeclaring

Declare = Callable[..., type[Event]]


def run(folder: Path, *arguments: str) -> str:
    out = StringIO()
    call_command("check_event_schemas", "--folder", str(folder), *arguments, stdout=out)
    return out.getvalue()


@pytest.fixture
def declare() -> Iterator[Declare]:
    """Provide `declare(fields, defaults)`, again and again for one type."""
    with redeclaring(__name__) as declare:
        yield declare


@pytest.fixture
def frozen() -> list[Path]:
    """Return the project's own frozen schemas."""
    assert conf.CONTRACTS
    files = sorted(conf.CONTRACTS.glob("*.json"))
    assert files
    return files


@pytest.fixture
def folder(tmp_path: Path, frozen: list[Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """Copy the project's frozen schemas; no other event is registered."""
    for file in frozen:
        (tmp_path / file.name).write_text(file.read_text())
    for name in registered.keys() - {file.stem for file in frozen}:
        monkeypatch.delitem(registered, name)
    return tmp_path


@pytest.mark.usefixtures("folder")
def test_the_projects_events_keep_to_their_schemas(frozen: list[Path]) -> None:
    out = StringIO()
    call_command("check_event_schemas", stdout=out)
    assert f"{len(frozen)} event types keep to" in out.getvalue()


def test_a_break_is_explained_and_never_frozen(folder: Path, declare: Declare) -> None:
    event = declare({"copies": int})
    run(folder, "--write")
    declare({"copies": str})
    before = schemas.file_of(event.type, folder).read_text()
    for arguments in ([], ["--write"]):
        with pytest.raises(CommandError) as failure:
            run(folder, *arguments)
        message = str(failure.value)
        assert failure.value.returncode == 1
        assert "`copies` no longer accepts integer" in message
        assert "producer one release behind" in message
        assert "one release behind refuses or misreads" in message
        assert f"declare {event.type[:-1]}2 beside it" in message
    assert schemas.file_of(event.type, folder).read_text() == before


def test_an_addition_is_frozen_on_request(folder: Path, declare: Declare) -> None:
    event = declare({"one": int})
    with pytest.raises(CommandError, match="a new type, not frozen yet"):
        run(folder)
    run(folder, "--write")
    declare({"one": int, "two": int}, {"two": 0})
    with pytest.raises(CommandError, match="`two` is a new optional field, which is allowed but not frozen yet"):
        run(folder)
    run(folder, "--write")
    assert "keep to" in run(folder)
    assert "two" in (schemas.read_frozen(event.type, folder) or {})["properties"]


def test_a_type_without_class_is_an_error(folder: Path) -> None:
    (folder / "mamochi.sandbox.soñada.v1.json").write_text("{}")
    with pytest.raises(CommandError, match=r"soñada\.v1: no class declares it any more"):
        run(folder, "--write")


def test_a_folder_is_required(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conf, "CONTRACTS", None)
    with pytest.raises(CommandError, match="Set CONTRACTS"):
        call_command("check_event_schemas")
