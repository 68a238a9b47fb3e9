"""Fifty approvals while SMTP is down: fifty valid tokens, and no token in any other place."""

import base64
import re
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
import redis
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

from deploy.embedded import Stack
from deploy.embedded.ports import free_port
from deploy.embedded.postgres import BINARIES
from deploy.embedded.waiting import wait_until
from mamochi_site.local.system import System, running_system
from tests.support.people import make_form, make_paid_form
from tests.support.system import TOKEN, Client, query

pytestmark = [pytest.mark.chaos, pytest.mark.minutes(2)]
SECONDS = 120.0
PEOPLE = 50
BASE64 = re.compile(r"[A-Za-z0-9+/]{40,}={0,2}")


@dataclass
class Postman:
    """An aiosmtpd handler that keeps each token and refuses e-mails while it is down."""

    port: int = field(default_factory=free_port)
    down: bool = True
    tokens: list[tuple[str, str, bool]] = field(default_factory=list)  # recipient, token, accepted

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:
        content = envelope.content
        assert isinstance(content, bytes)
        body = message_from_bytes(content, policy=policy.default).get_body(preferencelist=("plain",))
        [token] = set(TOKEN.findall(body.get_content() if body else ""))
        self.tokens.append((envelope.rcpt_tos[0], token, not self.down))
        return "451 4.3.0 down" if self.down else "250 Kept"

    @property
    def attempts(self) -> Counter[str]:
        return Counter(to for to, _, _ in self.tokens)

    @property
    def delivered(self) -> dict[str, str]:
        return {to: token for to, token, taken in self.tokens if taken}


@pytest.fixture
def postman() -> Iterator[Postman]:
    handler = Postman()
    controller = Controller(handler, hostname="127.0.0.1", port=handler.port)
    controller.start()
    yield handler
    controller.stop()


@pytest.fixture
def system(tmp_path: Path, postman: Postman) -> Iterator[System]:
    stack = Stack(tmp_path / "stack", durable=False, environ={})
    mail = f"smtp://127.0.0.1:{postman.port}"
    settings = {"REVISION_AUTOMATICA": "true", "LIMITE_INSCRIPCIONES": "", "EMAIL_URL": mail, "LOG_FORMAT": "json"}
    with running_system(stack, port=18_200, settings=settings) as running:
        yield running


@pytest.fixture
def celerys_broker(system: System) -> Iterator[list[str]]:
    """Record every command that Celery's broker receives."""
    commands: list[str] = []
    client: Any = redis.Redis.from_url(system.environment["CELERY_BROKER_URL"])
    monitor = client.monitor().__enter__()
    thread = threading.Thread(target=_listen, args=[monitor, commands], daemon=True)
    thread.start()
    yield commands
    client.close()


def _listen(monitor: Any, commands: list[str]) -> None:
    try:
        for command in monitor.listen():
            commands.append(str(command["command"]))
    except (redis.RedisError, OSError, ValueError):  # closed
        return


def sweep_every_five_seconds(system: System) -> None:
    with psycopg.connect(system.environment["DATABASE_URL"], autocommit=True) as connection:
        connection.execute("UPDATE django_celery_beat_intervalschedule SET every = 5 WHERE every = 60")
        connection.execute("UPDATE django_celery_beat_periodictasks SET last_update = now()")


def with_base64(text: str) -> str:
    """Return the text and the base64 parts in it, decoded: Celery encodes its tasks."""
    blobs = (base64.b64decode(blob + "=" * (-len(blob) % 4)) for blob in BASE64.findall(text.replace("=", "")))
    return "\n".join([text, *(blob.decode(errors="replace") for blob in blobs)])


def whole_database(system: System) -> str:
    dump = [str(BINARIES / "pg_dump"), "--data-only", f"--dbname={system.environment['DATABASE_URL']}"]
    return subprocess.run(dump, env=system.environment, check=True, capture_output=True, text=True).stdout


def whole_kafka(system: System) -> str:
    """Return keys, values and headers of every message in every topic."""
    servers = system.environment["KAFKA_BOOTSTRAP_SERVERS"]
    consumer = Consumer({"bootstrap.servers": servers, "group.id": str(uuid4()), "enable.partition.eof": True})
    places = [
        TopicPartition(name, partition, OFFSET_BEGINNING)
        for name, topic in consumer.list_topics(timeout=30).topics.items()
        for partition in topic.partitions
    ]
    consumer.assign(places)
    found: list[str] = []
    ended = set[tuple[str | None, int | None]]()

    def at_the_end() -> bool:
        for message in consumer.consume(1_000, 0.5):
            if message.error():
                ended.add((message.topic(), message.partition()))
            else:
                found.append(repr((message.key(), message.value(), message.headers())))
        return len(ended) == len(places)

    wait_until(at_the_end, SECONDS)
    consumer.close()
    return "\n".join(found)


def whole_logs(system: System) -> str:
    return "\n".join(path.read_text(errors="replace") for path in sorted((system.stack.folder / "logs").iterdir()))


def test_tokens_are_found_nowhere(system: System, postman: Postman, celerys_broker: list[str]) -> None:
    sweep_every_five_seconds(system)
    anyone = Client(int(system.url.rsplit(":", 1)[1]))
    forms = [make_form() if number % 5 else make_paid_form() for number in range(PEOPLE)]
    for form in forms:
        assert anyone.call("POST", "inscripciones/", form).status == 202
    wait_until(lambda: len([to for to, times in postman.attempts.items() if times > 1]) == PEOPLE, SECONDS)
    postman.down = False
    wait_until(lambda: postman.delivered.keys() == {form["email"] for form in forms}, SECONDS)
    sent = "SELECT count(*) FROM inscripciones_envio WHERE estado = 'enviado'"
    wait_until(lambda: query(system, sent) == [(PEOPLE,)], SECONDS)

    tokens = [token for _, token, _ in postman.tokens]
    for number, token in enumerate(postman.delivered.values()):
        maestro = Client(anyone.port, token)
        assert maestro.call("GET", "tokens/").status == 200
        if number < 5:
            tokens.append(maestro.call("POST", "tokens/rotar/").body["token"])
            assert maestro.call("GET", "tokens/").status == 401
    assert len(tokens) == len(set(tokens)) >= 2 * PEOPLE + 5
    assert query(system, "SELECT count(*) FROM knox_authtoken") == [(PEOPLE,)]

    [(mail_id,)] = query(system, "SELECT id::text FROM inscripciones_envio LIMIT 1")
    told = f"e-mail {mail_id} not sent"
    places = {
        "database": (whole_database(system), mail_id),
        "Kafka": (whole_kafka(system), forms[0]["email"]),
        "Celery's broker": (with_base64("\n".join(celerys_broker)), mail_id),
        "logs": (whole_logs(system), told),
    }
    for place, (text, known) in places.items():
        assert known in text, f"{place}: the search itself would find nothing"
        assert [token for token in tokens if token[15:] in text] == [], place
