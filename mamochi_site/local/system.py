"""The whole system on one machine: the embedded servers, and the application's processes beside them.

`./dev up` and `./dev demo` both run it; in production the same processes are started by the platform (deploy/).
"""

import json
import os
import secrets
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from deploy.embedded import Stack, StackError
from deploy.embedded.ports import HOST, free_port, next_free_port
from deploy.embedded.processes import Process
from deploy.embedded.stack import write_private

CHECKOUT = Path(__file__).resolve().parents[2]
DEFAULT_FOLDER = CHECKOUT / ".mamochi"
DEFAULT_PORT = 8000
PREPARE_TIMEOUT_S = 180.0
READY_TIMEOUT_S = 90.0
ADMIN = "admin"
CONSUMERS = ("aprobacion", "distribuidores", "contabilidad", "inventario")


def manage(*arguments: str) -> list[str]:
    """The command line of a management command, with this interpreter."""
    return [sys.executable, "manage.py", *arguments]


def application_processes(port: int, consumers: int) -> dict[str, list[str]]:
    """Name and command line of each process of the application; the web listens on `port` of loopback.

    `consumers` is how many there are of each name; those after the first are called `consumer-NAME-2` and so on.
    """
    celery = [sys.executable, "-m", "celery", "-A", "mamochi_site.celery"]
    copies = ["", *(f"-{number}" for number in range(2, consumers + 1))]
    return {
        "web": [
            *(sys.executable, "-m", "gunicorn", "mamochi_site.wsgi:application", "--bind", f"{HOST}:{port}"),
            *("--workers", "2", "--threads", "8", "--graceful-timeout", "10"),
            *("--config", "python:mamochi_site.gunicorn_conf"),
            "--no-control-socket",  # by default one socket in HOME, which two stacks would share
        ],
        **{f"consumer-{name}{copy}": manage("run_consumer", name) for copy in copies for name in CONSUMERS},
        "outbox-relay": manage("run_outbox_relay"),
        "celery-worker": [*celery, "worker", "--loglevel", "INFO", "--concurrency", "2", "--without-mingle"],
        "celery-beat": [*celery, "beat", "--loglevel", "INFO", "--pidfile="],
    }


@dataclass(frozen=True)
class System:
    """The running system. `environment` is that of its processes."""

    stack: Stack
    url: str
    admin_user: str
    admin_password: str
    environment: dict[str, str]
    commands: dict[str, list[str]]

    @property
    def applications(self) -> dict[str, Process]:
        """The application's processes by name."""
        return {name: process for name, process in self.stack.processes.items() if name in self.commands}


@contextmanager
def running_system(
    stack: Stack, *, port: int = DEFAULT_PORT, settings: dict[str, str] | None = None, consumers: int = 1
) -> Iterator[System]:
    """Start everything, wait until the web is ready, and stop everything at the end, also on Ctrl-C.

    `settings` are further environment variables of the processes. Where `port` is taken, the next free one is used.
    `consumers` is how many there are of each name.
    Raises StackError when something does not start.
    """
    with stack:
        port = next_free_port(port)
        system = _configure(stack, port, settings or {}, consumers)
        _prepare(system)
        for name, argv in system.commands.items():
            stack.run(name, argv, cwd=CHECKOUT, env=system.environment | _watched(system, name))
        _note(system)
        _wait_ready(system)
        yield system


def _configure(stack: Stack, port: int, settings: dict[str, str], consumers: int) -> System:
    """As in production but for HTTPS, which loopback has no certificate for."""
    kept = _kept_secrets(stack.folder / "application.json")
    url = f"http://{HOST}:{port}"
    environment = {
        **os.environ,
        **stack.environment(),
        "DJANGO_SETTINGS_MODULE": "mamochi_site.settings",
        "DEBUG": "false",
        "HTTPS_ONLY": "false",
        "ALLOWED_HOSTS": f"{HOST},localhost",
        "SECRET_KEY": kept["secret_key"],
        "SITE_URL": url,
        "LOG_FORMAT": os.environ.get("LOG_FORMAT", "text"),  # a person reads these logs
        "PYTHONUNBUFFERED": "1",
        **settings,
    }
    commands = application_processes(port, consumers)
    return System(stack, url, ADMIN, kept["admin_password"], environment, commands)


def _kept_secrets(path: Path) -> dict[str, str]:
    """Those of the folder's data: a new key would end every session and change every enrolment's address."""
    if not path.exists():
        made = {"secret_key": secrets.token_urlsafe(64), "admin_password": secrets.token_urlsafe(12)}
        write_private(path, json.dumps(made))
    kept: dict[str, str] = json.loads(path.read_text())
    return kept


def _prepare(system: System) -> None:
    """Tables, topics and the admin's account; a rerun changes nothing."""
    system.stack.say("preparing database and topics")
    account = {"DJANGO_SUPERUSER_USERNAME": system.admin_user, "DJANGO_SUPERUSER_PASSWORD": system.admin_password}
    process = system.stack.run("prepare", manage("prepare"), cwd=CHECKOUT, env=system.environment | account)
    process.wait(PREPARE_TIMEOUT_S)


def _watched(system: System, name: str) -> dict[str, str]:
    """Where a process counts, and where it tells: the web on its own port, Beat nowhere. stack.json names the ports."""
    folder = system.stack.folder / "metrics" / name
    folder.mkdir(parents=True, exist_ok=True)
    shared = {"PROMETHEUS_MULTIPROC_DIR": str(folder)} if name in ("web", "celery-worker") else {}
    if name in ("web", "celery-beat"):
        return shared
    port = free_port()
    metrics: dict[str, str] = system.stack.extra.get("metrics", {})
    system.stack.note(metrics=metrics | {name: f"http://{HOST}:{port}/metrics"})
    return shared | {"METRICS_PORT": f"{HOST}:{port}"}


def _note(system: System) -> None:
    system.stack.note(
        web={"url": system.url, "admin": f"{system.url}/admin/", "api": f"{system.url}/api/v1/"},
        admin={"user": system.admin_user, "password": system.admin_password},
    )


def _wait_ready(system: System) -> None:
    system.stack.say("starting the application")
    system.applications["web"].wait_ready(lambda: _ready(system), READY_TIMEOUT_S)


def _ready(system: System) -> bool:
    """Whether the web can serve, provided that nothing else has died meanwhile."""
    for process in system.applications.values():
        if not process.running:
            raise StackError(f"{process.name} ended while starting{process.last_words()}.")
    try:
        with urllib.request.urlopen(f"{system.url}/health/ready", timeout=2) as response:  # noqa: S310 - our own  # nosec B310
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def report_deaths(system: System, say: Callable[[str], None], told: set[str]) -> None:
    """Say once of each application process that it has ended by itself; `told` remembers."""
    for name, process in system.applications.items():
        if not process.running and name not in told:
            told.add(name)
            say(f"{name} ended (exit code {process.returncode}){process.last_words()}")
