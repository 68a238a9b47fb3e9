"""Mistakes of operators: what breaks, what does not, and that the system says what is wrong."""

import random
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from deploy.embedded import Stack
from deploy.embedded.postgres import BINARIES
from deploy.embedded.waiting import wait_until
from mamochi_site.local.demo.people import gather
from mamochi_site.local.system import CHECKOUT, System, manage, running_system
from tests.chaos.faults.mistakes import reset_group, two_beats
from tests.support.system import SECONDS, Client, enrol, query

pytestmark = [pytest.mark.chaos, pytest.mark.minutes(2)]
VENTAS = "mamochi.ventas"
CONTABILIDAD = "consumer-contabilidad"
ROWS = "SELECT count(*), count(DISTINCT venta_id) FROM ventas_venta"
LETTERS = "SELECT consumer, error FROM kafka_bridge_deadletter"
OTHER_KEY = "another-key-" + "x" * 50


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """Run one system for all mistakes: each is mended before the next."""
    stack = Stack(tmp_path_factory.mktemp("stack"), durable=False, environ={})
    with running_system(stack, port=18_500, settings={"REVISION_AUTOMATICA": "true"}) as running:
        yield running


@pytest.fixture(scope="module")
def maestro(system: System) -> Client:
    return enrol(system, port(system), paid=False)


@pytest.fixture
def admin(system: System) -> Any:
    return AdminClient({"bootstrap.servers": system.stack.kafka.url, "log_level": 0})


def port(system: System) -> int:
    return int(system.url.rsplit(":", 1)[1])


def sell(maestro: Client, times: int) -> None:
    for _ in range(times):
        assert maestro.sell().status == 202


def counted_once(system: System, maestro: Client) -> None:
    """Wait until every accepted sale has one row; none became a dead letter."""
    expected = (len(maestro.sent), len(maestro.sent))
    wait_until(lambda: query(system, ROWS) == [expected], SECONDS, what=f"{expected} rows of sales")
    assert query(system, LETTERS) == []


def run(system: System, *command: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    environment = system.environment | variables
    return subprocess.run(
        manage(*command), cwd=CHECKOUT, env=environment, check=False, capture_output=True, text=True, timeout=SECONDS
    )


def places(admin: Any) -> list[TopicPartition]:
    partitions = admin.list_topics(VENTAS, timeout=10).topics[VENTAS].partitions
    return [TopicPartition(VENTAS, partition) for partition in partitions]


def said(system: System, name: str) -> str:
    return (system.logs / f"{name}.log").read_text(errors="replace")


def test_offsets_of_a_group_are_reset(system: System, maestro: Client) -> None:
    """Nothing changes: the offsets that count are in the database."""
    sell(maestro, 5)
    counted_once(system, maestro)
    for offset in (0, 1_000_000):
        system.stack.processes[CONTABILIDAD].stop()
        reset_group(system.stack.kafka.url, "contabilidad", offset)
        sell(maestro, 3)
        system.stack.restart(CONTABILIDAD)
        counted_once(system, maestro)


def test_messages_that_retention_took_are_named(system: System, maestro: Client, admin: Any) -> None:
    """The consumer stops and says which messages it lacks; it skips none by accident."""
    system.stack.processes[CONTABILIDAD].stop()
    lost = [f"{number}" for number in range(4)]
    before = len(maestro.sent)
    sell(maestro, len(lost))
    gone, maestro.sent = maestro.sent[before:], maestro.sent[:before]
    inventario = "SELECT count(*) FROM stock_movimiento WHERE tipo = 'venta'"
    wait_until(lambda: query(system, inventario) == [(before + len(gone),)], SECONDS)
    ends = [TopicPartition(at.topic, at.partition, -1) for at in places(admin)]  # -1: all that are there
    for future in admin.delete_records(ends).values():
        future.result()
    system.stack.restart(CONTABILIDAD)
    process = system.stack.processes[CONTABILIDAD]
    wait_until(lambda: process.returncode is not None, SECONDS)
    assert process.returncode != 0
    assert re.search(
        r"contabilidad is at \d+ of mamochi.ventas\[\d\], and Kafka has \d+ to \d+: messages are lost",
        said(system, CONTABILIDAD),
    )
    sell(maestro, 2)
    process.argv = [*process.argv, "--accept-loss"]
    system.stack.restart(CONTABILIDAD)
    counted_once(system, maestro)
    assert query(system, "SELECT 1 FROM ventas_venta WHERE venta_id = ANY(%s::uuid[])", gone) == []
    process.argv = [argument for argument in process.argv if argument != "--accept-loss"]
    system.stack.restart(CONTABILIDAD)


def test_topic_is_made_again_with_fewer_partitions(system: System, maestro: Client, admin: Any) -> None:
    """Events for missing partitions wait in the outbox until `add_partitions`."""
    sell(maestro, 3)
    counted_once(system, maestro)
    admin.delete_topics([VENTAS], operation_timeout=30)[VENTAS].result()
    sell(maestro, 3)
    wait_until(lambda: make(admin, NewTopic(VENTAS, 2, 1)), SECONDS)
    others = [enrol(system, port(system), paid=False) for _ in range(4)]  # keys of other partitions
    for one in others:
        sell(one, 2)
    done = run(system, "add_partitions")
    assert done.returncode == 0, done.stderr
    maestro.sent += [sale for one in others for sale in one.sent]
    counted_once(system, maestro)


def make(admin: Any, topic: NewTopic) -> bool:
    """Make a topic; Kafka refuses that while it deletes the old one."""
    [future] = admin.create_topics([topic]).values()
    return future.exception() is None


def test_two_beats_do_nothing_twice(system: System, maestro: Client) -> None:
    """Each task finds its work in the rows, and claims it."""
    with two_beats(system) as second:
        people = [enrol(system, port(system), paid=False) for _ in range(3)]
        sell(maestro, 12)  # the cart runs out
        wait_until(lambda: said(system, second).count("Sending due task") >= 4, SECONDS)
    counted_once(system, maestro)
    for one in people:
        assert one.persona is not None
        assert len(system.mailbox.mails(to=one.persona.email)) == 1
        assert one.sell().status == 202, "the token of the only e-mail is valid"
        maestro.sent += one.sent
    counted_once(system, maestro)


def test_other_secret_key_is_named_and_loses_nothing(system: System, maestro: Client) -> None:
    """Links to enrolments are void under it; tokens and what is accepted are not."""
    persona = gather(1, 0, random.Random())[0]
    accepted = Client(port(system)).call("POST", "inscripciones/", persona.formulario())
    link = f"inscripciones/{accepted.body['id']}/"
    refused = run(system, "prepare", SECRET_KEY=OTHER_KEY)
    assert refused.returncode != 0
    assert "SECRET_KEY is another one than before" in refused.stderr
    web = system.applications["web"]
    right, web.env = web.env, {**web.env, "SECRET_KEY": OTHER_KEY}
    restart_web(system)
    assert maestro.call("GET", link).status == 404
    sell(maestro, 3)
    form = gather(1, 0, random.Random())[0]
    meanwhile = Client(port(system)).call("POST", "inscripciones/", form.formulario())
    assert meanwhile.status == 202
    counted_once(system, maestro)
    wait_until(lambda: decided(system, meanwhile.body["id"]), SECONDS)
    assert system.mailbox.wait_for(to=form.email, timeout=SECONDS)
    web.env = {**right, "SECRET_KEY_FALLBACKS": OTHER_KEY}
    restart_web(system)
    for known in (link, f"inscripciones/{meanwhile.body['id']}/"):
        assert maestro.call("GET", known).status == 200
    web.env = right
    restart_web(system)
    assert run(system, "prepare").returncode == 0


def decided(system: System, enrolment: str) -> bool:
    return query(system, "SELECT estado FROM inscripciones_inscripcion WHERE id = %s", enrolment) == [("aprobada",)]


def restart_web(system: System) -> None:
    system.stack.restart("web")
    client = Client(port(system))
    wait_until(lambda: lives(client), SECONDS)


def lives(client: Client) -> bool:
    try:
        return client.call("GET", "productos/").status in (200, 401)
    except OSError:
        return False


def test_prepare_at_the_same_time(system: System) -> None:
    """On an empty database, and again on one that is ready."""
    url = system.environment["DATABASE_URL"]
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE empty")
    other = url.rpartition("/")[0] + "/empty"
    for _ in range(2):
        environment = system.environment | {"DATABASE_URL": other}
        both = [
            subprocess.Popen(manage("prepare"), cwd=CHECKOUT, env=environment, stderr=subprocess.PIPE, text=True)
            for _ in range(2)
        ]
        told = [process.communicate(timeout=2 * SECONDS)[1] for process in both]
        assert [process.returncode for process in both] == [0, 0], told


def test_backup_is_restored_while_consumers_run(system: System, maestro: Client, tmp_path: Path) -> None:
    """Against docs/restore.md: what the backup lacks comes back all the same, once."""
    url, backup = system.environment["DATABASE_URL"], str(tmp_path / "backup.dump")
    sell(maestro, 5)
    counted_once(system, maestro)
    subprocess.run([str(BINARIES / "pg_dump"), "--format=custom", f"--file={backup}", url], check=True)
    sell(maestro, 5)
    counted_once(system, maestro)
    restore = [str(BINARIES / "pg_restore"), "--clean", "--if-exists", "--no-owner", f"--dbname={url}", backup]
    assert subprocess.run(restore, check=False).returncode == 0
    counted_once(system, maestro)
