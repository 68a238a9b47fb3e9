"""The processes of the system on one machine: `prepare` makes the checks for all of them."""

from pathlib import Path

import pytest
from django.core.management import get_commands, load_command_class
from django.core.management.base import BaseCommand

from deploy.embedded import Stack
from mamochi_site.local.system import configure

ELSEWHERE = {
    "KAFKA_BOOTSTRAP_SERVERS": "kafka.example:9092",
    "DATABASE_URL": "postgresql://db.example/mamochi",
    "CELERY_BROKER_URL": "redis://valkey.example/0",
    "EMAIL_URL": "smtp://mail.example:25",
}


@pytest.fixture
def commands(tmp_path: Path) -> list[list[str]]:
    """Return name and arguments of each management command that the system runs."""
    stack = Stack(tmp_path, environ=ELSEWHERE)
    argvs = configure(stack, 8000, {}, consumers=1).commands.values()
    stack.stop()
    return [argv[argv.index("manage.py") + 1 :] for argv in argvs if "manage.py" in argv]


@pytest.fixture
def faulty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set a variable that a check refuses: the protocol ignores it."""
    monkeypatch.setenv("KAFKA_SASL_MECHANISM", "SCRAM-SHA-512")


def command(name: str) -> BaseCommand:
    app = get_commands()[name]
    return app if isinstance(app, BaseCommand) else load_command_class(app, name)


def test_every_process_skips_the_checks(commands: list[list[str]]) -> None:
    """A command without checks of its own would not know the option, and no system would start."""
    names = {name for name, *_ in commands}
    assert names == {"run_consumer", "run_outbox_relay"}
    for name, *arguments in commands:
        assert command(name).create_parser("manage.py", name).parse_args(arguments).skip_checks, name


def test_a_consumer_of_the_system_starts_unchecked(
    commands: list[list[str]], faulty: None, capsys: pytest.CaptureFixture[str]
) -> None:
    name, *arguments = next(one for one in commands if one[0] == "run_consumer")
    command(name).run_from_argv(["manage.py", name, *arguments, "--list"])
    assert "contabilidad" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["prepare"], ["run_consumer", "contabilidad", "--list"]])
def test_what_else_starts_is_checked(arguments: list[str], faulty: None, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command(arguments[0]).run_from_argv(["manage.py", *arguments])
    assert "KAFKA_SASL_MECHANISM is set" in capsys.readouterr().err
