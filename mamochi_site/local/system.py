"""The whole system on one machine: the embedded servers and the application's processes.

`./dev up` and `./dev demo` run it. In production the platform starts the same processes.
"""

import http.client
import json
import os
import secrets
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from deploy.embedded import Stack, StackError
from deploy.embedded.hosts import HostOf, all_on_loopback
from deploy.embedded.mailbox import Mailbox
from deploy.embedded.ports import free_port, reserved_port
from deploy.embedded.processes import Process
from deploy.embedded.stack import write_private
from deploy.forks.orders import Forks

CHECKOUT = Path(__file__).resolve().parents[2]
DEFAULT_FOLDER = CHECKOUT / ".mamochi"
DEFAULT_PORT = 8000
PREPARE_TIMEOUT_S = 180.0
READY_TIMEOUT_S = 90.0
ADMIN = "admin"
# The program that has imported the application, and of which its processes are forks.
LOADED = "application"
# What its forks have each for themselves.
OWN_VARIABLES = (
    *("METRICS_PORT", "PROMETHEUS_MULTIPROC_DIR"),
    *("DJANGO_SUPERUSER_USERNAME", "DJANGO_SUPERUSER_PASSWORD"),
    *("KAFKA_SASL_USERNAME", "KAFKA_SASL_PASSWORD"),
)
WEB = "web"
PREPARE = "prepare"
# Of all processes but the web, whose answers people wait for (docs/adr/0041).
BEHIND_THE_WEB = 5
CONSUMERS = ("aprobacion", "distribuidores", "contabilidad", "inventario")
# Those of sales, of which a backlog can be long: a second process helps them on a second core.
HELPED = ("contabilidad", "inventario")
# The users of a secured Kafka whose names are not those of their processes.
KAFKA_USERS = {"outbox-relay": "relay", "celery-worker": "worker"}
# With a certificate, a process needs none of these.
LOGIN_VARIABLES = ("KAFKA_SASL_MECHANISM", "KAFKA_SASL_USERNAME", "KAFKA_SASL_PASSWORD")


def niceness_of(process: str) -> int:
    """Return how far a process of the application goes behind the web where the cores are full."""
    return 0 if process == WEB else BEHIND_THE_WEB


def manage(*arguments: str) -> list[str]:
    """Return the command line of a management command, with this interpreter."""
    return [sys.executable, "manage.py", *arguments]


def web_command(address: str, port: int) -> list[str]:
    """Return the command line of a web that listens there."""
    return [
        *(sys.executable, "-m", "gunicorn", "mamochi_site.asgi:application", "--bind", f"{address}:{port}"),
        *("--workers", "2", "--graceful-timeout", "10"),
        *("--config", "python:mamochi_site.gunicorn_conf"),
        # By default gunicorn's control socket is in HOME, where two stacks would share it.
        "--no-control-socket",
    ]


def consumer_command(name: str) -> list[str]:
    """Return the command line of a consumer."""
    return manage("run_consumer", name, *(["--helper"] if name in HELPED else []))


def application_processes(port: int, consumers: int, host_of: HostOf = all_on_loopback) -> dict[str, list[str]]:
    """Return the name and command line of each process of the application.

    The web listens on `port` of its host. There are `consumers` processes of each consumer; those
    after the first are named `consumer-NAME-2` and so on.
    """
    celery = [sys.executable, "-m", "celery", "-A", "mamochi_site.celery"]
    copies = ["", *(f"-{number}" for number in range(2, consumers + 1))]
    return {
        WEB: web_command(host_of(WEB).address, port),
        **{f"consumer-{name}{copy}": consumer_command(name) for copy in copies for name in CONSUMERS},
        "outbox-relay": manage("run_outbox_relay"),
        "celery-worker": [*celery, "worker", "--loglevel", "INFO", "--concurrency", "2", "--without-mingle"],
        "celery-beat": [*celery, "beat", "--loglevel", "INFO", "--pidfile="],
    }


@dataclass(frozen=True)
class System:
    """The running system; `environment` is the environment of its processes."""

    stack: Stack
    url: str
    admin_user: str
    admin_password: str
    environment: dict[str, str]
    commands: dict[str, list[str]]

    @property
    def applications(self) -> dict[str, Process]:
        """Return the application's processes by name."""
        return {name: process for name, process in self.stack.processes.items() if name in self.commands}

    @property
    def mailbox(self) -> Mailbox:
        """Return the e-mails that the system sent."""
        return self.stack.mailbox

    @property
    def logs(self) -> Path:
        """Return the folder with a log per process."""
        return self.stack.supervisor.logs

    def failure(self) -> str:
        """Return which process has ended with an error and its last words; else an empty text."""
        for process in self.stack.processes.values():
            if process.returncode not in (None, 0):
                return f"{process.name} terminó{process.last_words()}"
        return ""


@contextmanager
def running_system(
    stack: Stack, *, port: int = DEFAULT_PORT, settings: dict[str, str] | None = None, consumers: int = 1
) -> Iterator[System]:
    """Start everything, wait until the web is ready, and stop everything at the end of the block.

    `settings` are additional environment variables of the processes. If `port` is taken, the next
    free one is used. `consumers` is the number of processes of each consumer. Raises StackError
    when something does not start.
    """
    with stack, reserved_port(port, stack.say) as web_port:
        system = configure(stack, web_port, settings or {}, consumers)
        forks = load(system)
        if stack.secured:
            _grant_rights(system)
        prepare(system, forks)
        for name in system.commands:
            start(system, name, forks)
        _record_access(system)
        wait_ready(system)
        yield system


def user_of(process: str) -> str:
    """Return the user that a process is in a secured Kafka; all processes of a consumer are one."""
    return KAFKA_USERS.get(process, process.rstrip("-0123456789"))


def _grant_rights(system: System) -> None:
    """Give each process its rights in a secured Kafka, as the administrator."""
    system.stack.say("granting rights in Kafka")
    environment = system.environment | dict.fromkeys(LOGIN_VARIABLES, "") | system.stack.kafka.admin_variables
    process = system.stack.run("rights", manage("kafka_rights", "--apply"), cwd=CHECKOUT, env=environment)
    process.wait(PREPARE_TIMEOUT_S)


def configure(stack: Stack, port: int, settings: dict[str, str], consumers: int) -> System:
    """Return the system with production's settings, but no HTTPS: loopback has no certificate."""
    kept = _load_or_create_secrets(stack.folder / "application.json")
    address = stack.host_of(WEB).address
    url = f"http://{address}:{port}"
    environment = {
        **os.environ,
        **stack.environment(),
        "DJANGO_SETTINGS_MODULE": "mamochi_site.settings",
        "DEBUG": "false",
        "HTTPS_ONLY": "false",
        "ALLOWED_HOSTS": f"{address},localhost",
        "SECRET_KEY": kept["secret_key"],
        "SITE_URL": url,
        # A person reads these logs.
        "LOG_FORMAT": os.environ.get("LOG_FORMAT", "text"),
        "PYTHONUNBUFFERED": "1",
        **settings,
    }
    commands = {name: _unchecked(argv) for name, argv in application_processes(port, consumers, stack.host_of).items()}
    return System(stack, url, ADMIN, kept["admin_password"], environment, commands)


def _unchecked(argv: list[str]) -> list[str]:
    """Return the command line of a process for which `prepare` has made Django's checks.

    For them each fork would copy 5 MB of what it shares with the others.
    """
    return [*argv, "--skip-checks"] if "manage.py" in argv else argv


def _load_or_create_secrets(path: Path) -> dict[str, str]:
    """Return the secrets that belong to the folder's data; create them on the first run.

    A new key would end every session and change the URL of every enrolment.
    """
    if not path.exists():
        made = {"secret_key": secrets.token_urlsafe(64), "admin_password": secrets.token_urlsafe(12)}
        write_private(path, json.dumps(made))
    kept: dict[str, str] = json.loads(path.read_text())
    return kept


def load(system: System) -> Forks:
    """Start the program that has imported the application, of which the processes are forks."""
    # The settings that it loads want a login; each fork has its own.
    loaded = system.environment | system.stack.kafka.add_user(PREPARE)
    return system.stack.supervisor.load(
        LOADED, "mamochi_site.local.loaded", cwd=CHECKOUT, env=loaded, own=OWN_VARIABLES
    )


def prepare(system: System, forks: Forks) -> None:
    """Create tables, topics and the admin's account; a second run changes nothing."""
    system.stack.say("preparing database and topics")
    account = {"DJANGO_SUPERUSER_USERNAME": system.admin_user, "DJANGO_SUPERUSER_PASSWORD": system.admin_password}
    environment = system.environment | account | system.stack.kafka.add_user(PREPARE)
    process = system.stack.run(PREPARE, manage("prepare"), cwd=CHECKOUT, env=environment, forks=forks)
    process.wait(PREPARE_TIMEOUT_S)


def start(system: System, name: str, forks: Forks) -> Process:
    """Start a process of the application."""
    environment = system.environment | _metrics_settings(system, name) | system.stack.kafka.add_user(user_of(name))
    argv = system.commands[name]
    return system.stack.run(name, argv, cwd=CHECKOUT, env=environment, forks=forks, niceness=niceness_of(name))


def _metrics_settings(system: System, name: str) -> dict[str, str]:
    """Return the environment variables for a process's metrics, and note their URL in stack.json.

    The web serves metrics on its own port and Beat has none; every other process gets a port.
    """
    folder = system.stack.folder / "metrics" / name
    folder.mkdir(parents=True, exist_ok=True)
    shared = {"PROMETHEUS_MULTIPROC_DIR": str(folder)} if name in (WEB, "celery-worker") else {}
    if name in (WEB, "celery-beat"):
        return shared
    address = f"{system.stack.host_of(name).address}:{free_port()}"
    metrics: dict[str, str] = system.stack.extra.get("metrics", {})
    system.stack.note(metrics=metrics | {name: f"http://{address}/metrics"})
    return shared | {"METRICS_PORT": address}


def _record_access(system: System) -> None:
    """Note the web's URLs and the admin's login in stack.json."""
    system.stack.note(
        web={"url": system.url, "admin": f"{system.url}/admin/", "api": f"{system.url}/api/v1/"},
        admin={"user": system.admin_user, "password": system.admin_password},
    )


def wait_ready(system: System) -> None:
    """Wait until the web serves. Raises StackError if a process ends or the web takes too long."""
    system.stack.say("starting the application")
    system.applications[WEB].wait_ready(lambda: _ready(system), READY_TIMEOUT_S)


def _ready(system: System) -> bool:
    """Return True once the web is ready. Raises StackError if one of the processes has ended."""
    for process in system.applications.values():
        if not process.running:
            raise StackError(f"{process.name} ended while starting{process.last_words()}.")
    return web_is_ready(urlsplit(system.url).netloc)


def web_is_ready(host: str) -> bool:
    """Return whether the web at `host` (`name:port`) answers 200 to /health/ready within 5 s."""
    connection = http.client.HTTPConnection(host, timeout=5)
    try:
        connection.request("GET", "/health/ready")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def report_ended_processes(system: System, say: Callable[[str], None], reported: set[str]) -> None:
    """Report each process of the application that has ended, unless its name is in `reported`.

    Names that are reported are added to `reported`.
    """
    for name, process in system.applications.items():
        if not process.running and name not in reported:
            reported.add(name)
            say(f"{name} ended (exit code {process.returncode}){process.last_words()}")
