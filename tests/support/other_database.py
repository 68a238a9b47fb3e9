"""Other database servers than the stack's: Debian's PostgreSQL, a pool, and tests run on them."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import psycopg

from deploy.embedded.ports import HOST, free_port
from deploy.embedded.postgres import AS_ORDINARY_USER
from deploy.embedded.waiting import wait_until
from tests.support.needs import skip_or_fail

ROOT: Final = Path(__file__).parent.parent.parent
SECONDS: Final = 60.0
USER: Final = "mamochi"


@contextmanager
def debian_postgres(folder: Path, **settings: str) -> Iterator[str]:
    """Run Debian's PostgreSQL (15 in Debian 12) in the folder, and return its URL."""
    binaries = next(iter(sorted(Path("/usr/lib/postgresql").glob("1[4-6]/bin"))), None)
    if binaries is None:
        skip_or_fail("PostgreSQL 14, 15 or 16 is missing: apt install postgresql")
    port, data = free_port(), folder / "postgres"
    run([binaries / "initdb", "-D", data, "-U", USER, "--auth=trust", "--no-sync", "--locale=C.UTF-8"])
    options = {"listen_addresses": HOST, "port": str(port), "unix_socket_directories": "", "fsync": "off", **settings}
    server = f"postgresql://{USER}@{HOST}:{port}"
    command = [binaries / "postgres", "-D", data, *(f"--{name}={value}" for name, value in options.items())]
    with program(command, folder / "postgres.log"):
        wait_until(lambda: answers(f"{server}/postgres"), SECONDS)
        with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {USER}")
        yield f"{server}/{USER}"


@contextmanager
def pool(folder: Path, url: str, *, size: int = 10) -> Iterator[str]:
    """Run pgbouncer (pool_mode=transaction) in front of that server; return the pool's URL."""
    program_path = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
    if program_path is None:
        skip_or_fail("pgbouncer is missing: apt install pgbouncer")
    server, port = psycopg.conninfo.conninfo_to_dict(url), free_port()
    (folder / "users.txt").write_text(f'"{server["user"]}" "{server.get("password", "x")}"\n')
    (folder / "pgbouncer.ini").write_text(
        f"[databases]\n* = host={server['host']} port={server['port']}\n"
        f"[pgbouncer]\nlisten_addr = {HOST}\nlisten_port = {port}\nunix_socket_dir =\nauth_type = plain\n"
        f"auth_file = {folder / 'users.txt'}\npool_mode = transaction\ndefault_pool_size = {size}\n"
        "max_client_conn = 200\nserver_round_robin = 1\n"
    )
    pooled = f"postgresql://{server['user']}:{server.get('password', 'x')}@{HOST}:{port}/{server['dbname']}"
    with program([program_path, folder / "pgbouncer.ini"], folder / "pgbouncer.log"):
        wait_until(lambda: answers(pooled), SECONDS)
        yield pooled


def run_tests(url: str, *tests: str) -> None:
    """Run these tests on another database, with the stack's other servers.

    They have a mail sink of their own, because they read its mailbox.
    """
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--reuse-db", *tests]
    # Not a process of pytest-xdist itself: that would start servers of its own. Not prepared
    # statements: that server may be a pool.
    others = ("EMAIL_URL", "PYTEST_XDIST_WORKER", "PREPARED_STATEMENTS")
    kept = {name: value for name, value in os.environ.items() if name not in others}
    environment = {**kept, "DATABASE_URL": url}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stdout[-6_000:] + done.stderr[-2_000:]


@contextmanager
def program(command: Sequence[object], log: Path) -> Iterator[None]:
    """Run a program that refuses to be root, until the block ends."""
    with log.open("wb") as output:
        process = subprocess.Popen(as_user(command), stdout=output, stderr=subprocess.STDOUT)
    try:
        yield
    finally:
        process.kill()
        process.wait(SECONDS)


def run(command: Sequence[object]) -> None:
    """Run such a program to its end."""
    subprocess.run(as_user(command), check=True, capture_output=True)


def as_user(command: Sequence[object]) -> list[str]:
    return [*(AS_ORDINARY_USER if os.geteuid() == 0 else []), *map(str, command)]


def answers(url: str) -> bool:
    """Return whether a server answers there."""
    try:
        with psycopg.connect(url, connect_timeout=3) as connection:
            connection.execute("SELECT 1")
    except psycopg.OperationalError:
        return False
    return True
