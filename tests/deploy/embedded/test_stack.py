"""The embedded stack, with real servers.

A part whose URL is in `environ` is not started, so a test of PostgreSQL does not wait for Kafka.
"""

import json
import os
import signal
import smtplib
import socket
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import psutil
import psycopg
import pytest
import redis
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from deploy.embedded import Stack, StackError
from deploy.embedded.hosts import LOOPBACK, Host
from deploy.embedded.ports import HOST, is_free
from deploy.embedded.processes import RUN_ID_VARIABLE, ProcessRecord, leftovers
from deploy.embedded.waiting import wait_until

ELSEWHERE = {
    "KAFKA_BOOTSTRAP_SERVERS": "kafka.example:9092",
    "DATABASE_URL": "postgresql://db.example/mamochi",
    "CELERY_BROKER_URL": "redis://valkey.example/0",
    "EMAIL_URL": "smtp://mail.example:25",
}
CHECKOUT = Path(__file__).parents[3]


def only(*variables: str) -> dict[str, str]:
    """Return an environment that replaces all parts but these."""
    return {variable: url for variable, url in ELSEWHERE.items() if variable not in variables}


def processes_of(run_id: str) -> list[psutil.Process]:
    """Return every process of that run, at any depth."""
    return leftovers(run_id, {})


def write_row(stack: Stack) -> None:
    with psycopg.connect(stack.postgres.url) as connection:
        connection.execute("CREATE TABLE kept (value int)")
        connection.execute("INSERT INTO kept VALUES (42)")


def read_row(stack: Stack) -> int | None:
    with psycopg.connect(stack.postgres.url) as connection:
        row = connection.execute("SELECT value FROM kept").fetchone()
        return row[0] if row else None


def write_record(stack: Stack, topic: str) -> None:
    """Write a record and wait for the acknowledgement; fail after 30 s."""
    failures: list[object] = []
    producer = Producer({"bootstrap.servers": stack.kafka.url, "acks": "all", "delivery.timeout.ms": 30_000})
    producer.produce(topic, b"sale", on_delivery=lambda error, _: failures.append(error) if error else None)
    assert producer.flush(40) == 0
    assert failures == []


def create_topic(stack: Stack, topic: str, replicas: int) -> None:
    admin = AdminClient({"bootstrap.servers": stack.kafka.url})
    admin.create_topics([NewTopic(topic, 1, replicas)])[topic].result(30)


def in_sync_replicas(stack: Stack, topic: str) -> int:
    admin = AdminClient({"bootstrap.servers": stack.kafka.url})
    return len(admin.list_topics(topic, timeout=10).topics[topic].partitions[0].isrs)


@pytest.mark.slow
def test_two_stacks_run_side_by_side(stack: Stack, tmp_path: Path) -> None:
    own = Stack(tmp_path / "mote con ñandú", environ={})
    with own:
        record = json.loads(own.record_file.read_text())
        ports = set(record["ports"].values())
        assert not ports & {port for part in stack.parts for port in part.ports.values()}
        assert own.record_file.stat().st_mode & 0o077 == 0
        create_topic(own, "sales", replicas=1)
        write_record(own, "sales")
        write_row(own)
        assert redis.Redis.from_url(own.valkey.url).ping()
        with smtplib.SMTP(HOST, own.mail.port) as client:
            client.sendmail("a@b.cl", ["rosa@example.cl"], "To: rosa@example.cl\nSubject: =?utf-8?q?=C3=91?=\n\nhola")
        assert own.mailbox.wait_for(to="rosa@example.cl")[0].subject == "Ñ"
        assert "rosa@example.cl" in (own.mail.mailbox / "index.txt").read_text()
    assert processes_of(own.supervisor.run_id) == []
    assert all(is_free(port) for port in ports)
    assert not own.record_file.exists()


def test_server_runs_on_its_host(tmp_path: Path) -> None:
    other = Host("127.0.0.2", ("env", "PLACE=other"))
    with Stack(
        tmp_path,
        environ=only("DATABASE_URL", "EMAIL_URL"),
        host_of=lambda name: LOOPBACK if name == "smtp" else other,
    ) as own:
        write_row(own)
        assert "@127.0.0.2:" in own.environment()["DATABASE_URL"]
        assert psutil.Process(own.processes["postgres"].pid).environ()["PLACE"] == "other"
        with pytest.raises(ConnectionRefusedError), socket.create_connection((HOST, own.postgres.port), timeout=2):
            pass
        with smtplib.SMTP(HOST, own.mail.port) as client:
            assert client.noop()[0] == 250


def test_the_record_tells_urls_from_other_variables(tmp_path: Path) -> None:
    with Stack(tmp_path, environ=only("DATABASE_URL")) as own:
        record = json.loads(own.record_file.read_text())
        assert record["urls"] == ELSEWHERE | {"DATABASE_URL": own.postgres.url}
        assert record["variables"] == {"PREPARED_STATEMENTS": "true"}
        assert own.environment() == record["urls"] | record["variables"]


def test_folder_belongs_to_one_stack(tmp_path: Path) -> None:
    first = Stack(tmp_path, environ=ELSEWHERE)
    with pytest.raises(StackError, match="already runs"):
        Stack(tmp_path, environ=ELSEWHERE)
    first.stop()
    Stack(tmp_path, environ=ELSEWHERE).stop()


def test_url_in_environment_replaces_part(tmp_path: Path) -> None:
    with Stack(tmp_path, environ=ELSEWHERE) as own:
        assert own.environment() == ELSEWHERE
        assert own.processes == {}


@pytest.mark.slow
def test_data_stay_until_fresh(tmp_path: Path) -> None:
    environ = only("DATABASE_URL")
    with Stack(tmp_path, environ=environ) as first:
        write_row(first)
    with Stack(tmp_path, environ=environ) as second:
        assert read_row(second) == 42
    with Stack(tmp_path, environ=environ, fresh=True) as third, pytest.raises(psycopg.errors.UndefinedTable):
        read_row(third)


def test_other_number_of_brokers_is_refused(tmp_path: Path) -> None:
    with Stack(tmp_path, environ=ELSEWHERE):
        pass
    with pytest.raises(StackError, match=r"cluster of 1 broker.*--fresh"):
        Stack(tmp_path, environ=ELSEWHERE, brokers=3)
    Stack(tmp_path, environ=ELSEWHERE, brokers=3, fresh=True).stop()


@pytest.mark.slow
def test_servers_keep_port_and_data_after_a_kill(tmp_path: Path) -> None:
    with Stack(tmp_path, environ=only("DATABASE_URL", "CELERY_BROKER_URL", "EMAIL_URL"), durable=False) as own:
        write_row(own)
        own.postgres.kill()
        assert not own.postgres.ready()
        own.postgres.restart()
        assert read_row(own) == 42
        own.valkey.pause()
        assert not own.valkey.ready()
        own.valkey.resume()
        assert own.valkey.ready()
        own.mail.stop()
        assert is_free(own.mail.port)
        own.mail.restart()
        assert own.mail.ready()


@pytest.mark.slow
def test_failed_start_leaves_nothing(tmp_path: Path) -> None:
    own = Stack(tmp_path, environ={}, durable=False)
    with socket.socket() as other_program:
        other_program.bind((HOST, own.kafka.brokers[0].port))
        other_program.listen()
        with pytest.raises(StackError, match=r"kafka-1 ended while starting .*see .*kafka-1\.log"):
            own.start()
    assert {"postgres", "valkey", "smtp", "kafka-1"} <= own.processes.keys()
    assert processes_of(own.supervisor.run_id) == []
    assert not any(process.running for process in own.processes.values())
    # The folder is free again.
    Stack(tmp_path, environ=ELSEWHERE).stop()


# Starts the stack and a worker whose child survives its parent, prints "started", and waits.
PARENT = """
    import os, sys, signal
    from pathlib import Path
    from deploy.embedded import Stack
    from deploy.embedded.signals import interrupt_on_termination
    interrupt_on_termination()
    stack = Stack(Path(sys.argv[1]), say=lambda message: print(message, flush=True))
    with stack:
        stack.run("worker", ["sh", "-c", "sleep 1000 & wait"], cwd=stack.folder, env=os.environ)
        print("started", flush=True)
        signal.pause()
"""


@pytest.fixture
def start_parent(tmp_path: Path) -> Callable[[dict[str, str]], subprocess.Popen[str]]:
    """Return a function that starts a program with a stack in tmp_path."""

    def start(environ: dict[str, str]) -> subprocess.Popen[str]:
        inherited = {name: value for name, value in os.environ.items() if name not in ELSEWHERE}
        return subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(PARENT), str(tmp_path)],
            cwd=CHECKOUT,
            env=inherited | environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    return start


def read_until(parent: subprocess.Popen[str], words: str) -> None:
    assert parent.stdout is not None
    assert any(words in line for line in parent.stdout), f"the program ended before it printed {words!r}"


Start = Callable[[dict[str, str]], subprocess.Popen[str]]


@pytest.mark.chaos
@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a parent-death signal")
def test_next_stack_ends_leftovers_of_a_killed_one(start_parent: Start, tmp_path: Path) -> None:
    parent = start_parent(only("DATABASE_URL"))
    read_until(parent, "started")
    record = json.loads((tmp_path / "stack.json").read_text())
    with psycopg.connect(record["urls"]["DATABASE_URL"]) as connection:
        connection.execute("CREATE TABLE kept (value int)")
        connection.execute("INSERT INTO kept VALUES (42)")
    parent.kill()
    parent.wait()
    servers = [record["processes"][name]["pid"] for name in ("postgres", "worker")]
    wait_until(lambda: not any(psutil.pid_exists(pid) for pid in servers), 15, what="children died with the parent")
    orphan = processes_of(record["run_id"])
    assert [process.name() for process in orphan] == ["sleep"]
    with Stack(tmp_path, environ=only("DATABASE_URL")) as own:
        assert read_row(own) == 42
        assert not orphan[0].is_running()


def test_other_process_with_recorded_pid_is_kept(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != RUN_ID_VARIABLE}
    other = subprocess.Popen(["sleep", "1000"], env=environment)
    started = psutil.Process(other.pid).create_time()
    log = str(tmp_path / "log")
    try:
        earlier = ProcessRecord(pid=other.pid, started=started - 3600, log=log)
        assert leftovers("of an earlier run", {"postgres": earlier}) == []
        same = ProcessRecord(pid=other.pid, started=started, log=log)
        assert [found.pid for found in leftovers("of an earlier run", {"postgres": same})] == [other.pid]
    finally:
        other.kill()
        other.wait()


@pytest.mark.slow
@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_signal_during_start_leaves_nothing(start_parent: Start, tmp_path: Path, ending: signal.Signals) -> None:
    parent = start_parent({})
    read_until(parent, "Valkey ready")
    run_id = json.loads((tmp_path / "stack.json").read_text())["run_id"]
    assert processes_of(run_id)
    parent.send_signal(ending)
    assert parent.wait(30) != 0
    assert processes_of(run_id) == []
    assert not (tmp_path / "stack.json").exists()


@pytest.mark.chaos
@pytest.mark.slow
def test_three_brokers_survive_the_death_of_one(tmp_path: Path) -> None:
    with Stack(tmp_path, environ=only("KAFKA_BOOTSTRAP_SERVERS"), brokers=3, durable=False) as own:
        create_topic(own, "sales", replicas=3)
        write_record(own, "sales")
        own.kafka.brokers[0].kill()
        write_record(own, "sales")
        own.kafka.brokers[0].restart()
        wait_until(lambda: in_sync_replicas(own, "sales") == 3, 30, what="all replicas are in sync again")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root needs a user namespace")
def test_root_without_user_namespace_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StackError, match=r"refuses to run as root.*set DATABASE_URL"):
        Stack(tmp_path, environ=only("DATABASE_URL")).start()
