"""The stack: four servers and the application's processes, with their data in one folder."""

import base64
import fcntl
import json
import os
import secrets
import shutil
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from functools import cached_property, partial
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self, TextIO, TypedDict

from deploy.embedded.errors import StackError
from deploy.embedded.hosts import HostOf, all_on_loopback
from deploy.embedded.kafka import Kafka
from deploy.embedded.mail import MailSink
from deploy.embedded.mailbox import Mailbox
from deploy.embedded.postgres import Postgres
from deploy.embedded.processes import Process, Supervisor, end, leftovers
from deploy.embedded.server import Server
from deploy.embedded.signals import uninterrupted
from deploy.embedded.valkey import Valkey
from deploy.forks.orders import Forks

# Seconds to stop before SIGKILL: a consumer finishes its batch, a worker its task.
APPLICATION_GRACE_S = 20.0
SERVER_GRACE_S = 15.0


class Part(Protocol):
    """One of the four parts; a URL in the environment variable `variable` replaces the part."""

    name: str
    variable: str

    @property
    def url(self) -> str:
        """Return the URL for clients; it is known before the start."""

    @property
    def ports(self) -> dict[str, int]:
        """Return the port of each listener by name."""

    @property
    def servers(self) -> list[Server]:
        """Return the part's server processes."""

    def start(self, supervisor: Supervisor, say: Callable[[str], None]) -> None:
        """Start the part and wait until it is ready. Raises StackError."""


class Secrets(TypedDict):
    """What is needed to open the folder's data again."""

    password: str
    cluster_id: str
    brokers: int


class Stack:
    """Kafka, PostgreSQL, Valkey and an SMTP sink in one folder, and the application's processes.

    With `durable=False`, for tests, the servers are faster but do not survive a crash of the
    machine. A part whose URL is in `environ` is not started: the URL is used instead. All URLs are
    known as soon as the object exists. `own` returns more environment variables of the process of
    that name, such as those of its clock in tests. Use the stack as a context manager, or call
    `stop()`; both end every process.

    `host_of` tells by a process's name where it runs: by default on loopback. A `secured` stack has
    TLS on every server but the SMTP sink, and logins and rights in Kafka.

    The object locks the folder from its creation until `stop()`. Raises StackError when a stack
    already runs there, or when the data there belong to another number of brokers.
    """

    def __init__(  # noqa: PLR0913 - each argument is an independent option with a default
        self,
        folder: Path,
        *,
        brokers: int = 1,
        durable: bool = True,
        fresh: bool = False,
        secured: bool = False,
        environ: Mapping[str, str] = os.environ,
        host_of: HostOf = all_on_loopback,
        say: Callable[[str], None] = lambda _: None,
        own: Callable[[str], Mapping[str, str]] = lambda _: {},
    ) -> None:
        self.folder = folder.resolve()
        self.durable = durable
        self.fresh = fresh
        self.secured = secured
        self.host_of = host_of
        self.say = say
        self.extra: dict[str, Any] = {}
        self.supervisor = Supervisor(uuid.uuid4().hex, self.folder / "logs", self._write_record, host_of, own)
        self._record_lock = threading.Lock()
        self._recording = False
        self._lock = self._take_folder()
        try:
            self.secrets = self._load_secrets(brokers)
        except StackError:
            self._lock.close()
            raise
        self._make_parts(brokers)
        self._replaced = {
            part.variable: environ[part.variable] for part in self.all_parts if environ.get(part.variable)
        }

    def _make_parts(self, brokers: int) -> None:
        data, password = self.folder / "data", self.secrets["password"]
        kafka = partial(Kafka, data, brokers, self.secrets["cluster_id"], self.host_of)
        self.postgres = Postgres(data, password, durable=self.durable, host=self.host_of("postgres"))
        self.valkey = Valkey(data, password, durable=self.durable, host=self.host_of("valkey"))
        self.mail = MailSink(self.folder / "mailbox", host=self.host_of("smtp"))
        databases: list[Part] = [self.postgres, self.valkey]
        if self.secured:
            # They load 12 MB, which a stack without certificates would keep.
            from deploy.embedded.security.authority import Authority
            from deploy.embedded.security.front import WithTls

            authority = Authority(self.folder / "tls")
            kafka = partial(kafka, authority=authority, secret=password)
            databases = [WithTls(self.postgres, authority), WithTls(self.valkey, authority)]
        self.kafka = kafka()
        self.all_parts: list[Part] = [self.kafka, *databases, self.mail]

    @property
    def parts(self) -> list[Part]:
        """Return the parts that no URL in the environment replaces."""
        return [part for part in self.all_parts if part.variable not in self._replaced]

    @property
    def record_file(self) -> Path:
        """Return the path of stack.json, which exists while the stack runs, for its owner only."""
        return self.folder / "stack.json"

    @cached_property
    def mailbox(self) -> Mailbox:
        """Return the mailbox of the SMTP sink; it parses each mail once."""
        return Mailbox(self.mail.mailbox)

    @property
    def processes(self) -> dict[str, Process]:
        """Return all processes of this run by name, those of servers and of the application."""
        return self.supervisor.processes

    def environment(self) -> dict[str, str]:
        """Return the environment variables of the application's processes: the four URLs, and more.

        In a secured stack each process also needs a login of its own (`kafka.add_user`).
        """
        return self.urls | self.client_variables

    @property
    def urls(self) -> dict[str, str]:
        """Return the URL of each part by its environment variable."""
        return {part.variable: self._replaced.get(part.variable, part.url) for part in self.all_parts}

    @property
    def client_variables(self) -> dict[str, str]:
        """Return what the parts say to their clients besides the URLs, as environment variables."""
        own = [part for part in (self.kafka, self.postgres) if part.variable not in self._replaced]
        return {name: value for part in own for name, value in part.client_variables.items()}

    def start(self) -> None:
        """Start every part and wait until all are ready.

        On any error, and on Ctrl-C, everything is stopped. Raises StackError when a prerequisite is
        missing or a part fails.
        """
        try:
            self._end_earlier_run()
            self._prepare_folder()
            self._recording = True
            self._write_record()
            self._start_parts()
        except BaseException:
            self.stop()
            raise

    def _take_folder(self) -> TextIO:
        """Lock the folder; the system releases the lock whenever the process ends, in any way."""
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = (self.folder / "stack.lock").open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            raise StackError(
                f"A stack already runs in {self.folder}: stop it first, or choose another folder with --dir."
            ) from None
        return lock

    def _end_earlier_run(self) -> None:
        """End the processes that an earlier run left behind.

        We hold the folder's lock, so the program that wrote stack.json has ended; its children may
        live.
        """
        try:
            record = json.loads(self.record_file.read_text())
            found = leftovers(record["run_id"], record["processes"])
        except (FileNotFoundError, ValueError, KeyError):
            return
        if found:
            self.say(f"ending {len(found)} processes that an earlier run left behind")
            end(found)

    def _prepare_folder(self) -> None:
        if self.fresh:
            for name in ("data", "mailbox", "logs"):
                shutil.rmtree(self.folder / name, ignore_errors=True)
        self._keep_previous_logs()
        for name in ("data", "mailbox", "logs"):
            (self.folder / name).mkdir(exist_ok=True)

    def _keep_previous_logs(self) -> None:
        """Move the logs of the previous run to `logs-before`; this run gets an empty folder."""
        logs, before = self.supervisor.logs, self.folder / "logs-before"
        if logs.exists():
            shutil.rmtree(before, ignore_errors=True)
            logs.rename(before)

    def _start_parts(self) -> None:
        with ThreadPoolExecutor(len(self.all_parts)) as pool:
            try:
                _raise_first([pool.submit(self._start_part, part) for part in self.parts])
            except BaseException:
                # The other threads stop waiting for their servers.
                self._stop_processes(grace=0)
                raise

    def _start_part(self, part: Part) -> None:
        began = time.monotonic()
        part.start(self.supervisor, self.say)
        self.say(f"{part.name} ready in {time.monotonic() - began:.1f} s")

    def run(  # noqa: PLR0913 - each argument is an independent option with a default
        self,
        name: str,
        argv: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        forks: Forks | None = None,
        niceness: int = 0,
    ) -> Process:
        """Start a process of the application, which is stopped before the servers.

        `env` is its whole environment. With `forks`, the process is a fork of that loaded program.
        `niceness`: how far it goes behind the others where the cores are full.
        """
        return self.supervisor.spawn(name, argv, cwd=cwd, env=env, forks=forks, niceness=niceness)

    def restart(self, name: str) -> None:
        """Kill a process of the application (SIGKILL) if it runs, and start it again."""
        process = self.processes[name]
        process.kill()
        self.supervisor.start(process)

    def note(self, **extra: Any) -> None:
        """Add entries to stack.json, such as the web's URL and the admin's login."""
        self.extra |= extra
        self._write_record()

    def stop(self) -> None:
        """Stop everything, applications first.

        The time is bounded, and a process that has already ended raises no error.
        """
        with uninterrupted():
            self._stop_processes(grace=SERVER_GRACE_S if self.durable else 0)
            with self._record_lock:
                if self._recording:
                    self.record_file.unlink(missing_ok=True)
                self._recording = False
            self._lock.close()

    def _stop_processes(self, grace: float) -> None:
        self.supervisor.close()
        servers = {server.process_name for part in self.parts for server in part.servers}
        running = [process for process in self.processes.values() if process.running]
        applications = [process for process in running if process.name not in servers]
        self.supervisor.stop_all(applications, timeout=min(grace, APPLICATION_GRACE_S))
        self.supervisor.stop_all([process for process in running if process.name in servers], timeout=grace)

    def _load_secrets(self, brokers: int) -> Secrets:
        """Return the secrets of the folder's data; create them on the first run.

        Raises StackError if the data belong to another number of brokers.
        """
        path = self.folder / "secrets.json"
        if path.exists() and not self.fresh:
            known: Secrets = json.loads(path.read_text())
            self._refuse_other_size(known["brokers"], brokers)
            return known
        made = Secrets(password=secrets.token_urlsafe(24), cluster_id=_cluster_id(), brokers=brokers)
        write_private(path, json.dumps(made))
        return made

    def _refuse_other_size(self, known: int, wanted: int) -> None:
        if known != wanted and (self.folder / "data").exists():
            raise StackError(
                f"The data in {self.folder} belong to a cluster of {known} broker(s), not {wanted}: use --brokers "
                f"{known}, delete the data with --fresh, or choose another folder with --dir."
            )

    def _write_record(self) -> None:
        record = {
            "run_id": self.supervisor.run_id,
            "pid": os.getpid(),
            "folder": str(self.folder),
            "urls": self.urls,
            "variables": self.client_variables,
            "ports": {name: port for part in self.parts for name, port in part.ports.items()},
            "mailbox": str(self.mail.mailbox),
            "logs": str(self.supervisor.logs),
            "processes": self.supervisor.records(),
            **self.extra,
        }
        with self._record_lock:
            if self._recording:
                write_private(self.record_file, json.dumps(record, indent=2))

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _raise_first(futures: Sequence[Future[None]]) -> None:
    """Wait until all futures are done or one fails, and raise that one's error."""
    done, _ = wait(futures, return_when=FIRST_EXCEPTION)
    for future in done:
        future.result()


def _cluster_id() -> str:
    """Return a UUID in Kafka's notation.

    A UUID that begins with a dash is not used: Kafka's tool would read it as an option.
    """
    while True:
        text = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if not text.startswith("-"):
            return text


def write_private(path: Path, text: str) -> None:
    """Write the file atomically, readable by its owner only."""
    half = path.with_name(f"{path.name}.part")
    half.unlink(missing_ok=True)
    with os.fdopen(os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    half.replace(path)
