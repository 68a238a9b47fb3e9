"""Personal data stays in values and rows; tokens stay out of topics too.

Keys, headers, metrics, logs and the reasons of dead letters hold none.

The test drives every process, with mistakes as well: refused forms, repeated identities, searches
by RUT, a login with an e-mail address, messages that no consumer can read.
"""

import json
import random
from collections.abc import Iterator
from dataclasses import asdict
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode
from urllib.request import HTTPCookieProcessor, OpenerDirector, build_opener, urlopen

import pytest
from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition

from inscripciones.events import InscripcionRecibida
from mamochi_site.local.demo.people import Persona, gather
from mamochi_site.local.system import System
from tests.stack import wait_until
from tests.support.system import SECONDS, Client, enrol, query, wait_for_sales

pytestmark = pytest.mark.slow
Texts = dict[str, str]  # by the place where they were found


@pytest.fixture
def people(system: System, anyone: Client) -> list[Client]:
    """Return two maestros who enrolled and sold."""
    found = [enrol(system, anyone.port, paid=paid) for paid in (True, False)]
    for client in found:
        assert client.sell().status == 202
        wait_for_sales(client)
    return found


def secrets_of(client: Client) -> set[str]:
    """Return their data in each spelling, with and without punctuation or spaces."""
    assert client.persona is not None
    rut, telephone = client.persona.rut, client.persona.telefono
    plain = rut.replace(".", "")
    return {rut, plain, plain.replace("-", ""), plain[:-2], telephone, telephone.replace(" ", ""), client.persona.email}


def misuse(system: System, client: Client) -> None:
    """Make the mistakes that people make, each with their own data in the request."""
    persona = client.persona
    assert persona is not None
    form = persona.formulario()
    assert client.call("POST", "inscripciones/", {**form, "comuna": "Macondo"}).status == 400
    assert (
        client.call("POST", "inscripciones/", {**form, "nombre": "Otra Persona"}).status == 202
    )  # the identity repeats
    for address in (f"ventas/{persona.rut}/", f"ventas/?desde={persona.email}", f"inscripciones/?q={persona.rut}"):
        client.call("GET", quote(address, safe="/?=&"))
    log_in(system, persona.email, persona.rut)


def log_in(system: System, username: str, password: str) -> OpenerDirector:
    """Log in to the admin; return the opener that holds the session."""
    url, cookies = f"{system.url}/admin/login/", CookieJar()
    opener = build_opener(HTTPCookieProcessor(cookies))
    opener.open(url, timeout=15)
    [csrf] = [cookie.value for cookie in cookies if cookie.name == "csrftoken"]
    form = {"username": username, "password": password, "csrfmiddlewaretoken": csrf}
    opener.open(url, urlencode(form).encode(), timeout=15)
    return opener


def search_as_admin(system: System, persona: Persona) -> None:
    opener = log_in(system, system.admin_user, system.admin_password)
    for term in (persona.rut, persona.email):
        url = f"{system.url}/admin/inscripciones/inscripcion/?estado=todos&q={quote(term)}"
        assert persona.rut.replace(".", "") in opener.open(url, timeout=15).read().decode()


def write_what_nobody_reads(system: System, persona: Persona) -> None:
    """Return forms with a wrong type, a long field, and no JSON, each with the data in it."""
    fields = {**asdict(persona), "paid": "sí"}
    values = [json.dumps(fields), json.dumps({**fields, "id": persona.rut}), f"{persona.rut} {persona.email}"]
    producer = Producer(dict(system.stack.kafka.brokers[0].admin_config))
    for value in values:
        producer.produce(
            InscripcionRecibida.topic.name, value, partition=1, headers={"ce_type": InscripcionRecibida.type}
        )
    assert producer.flush(SECONDS) == 0
    sql = "SELECT count(*) FROM kafka_bridge_deadletter WHERE encode(value, 'escape') LIKE %s"
    wait_until(lambda: query(system, sql, f"%{persona.email}%") == [(len(values),)], SECONDS)


def messages(system: System) -> Iterator[tuple[str, str]]:
    """Return every topic as text: keys and headers, and values."""
    admin = system.stack.kafka.brokers[0].admin_config
    consumer = Consumer({**admin, "group.id": "looks", "enable.partition.eof": True})
    topics = consumer.list_topics(timeout=SECONDS).topics
    waiting = {(name, at) for name, topic in topics.items() if name.startswith("mamochi.") for at in topic.partitions}
    consumer.assign([TopicPartition(name, at, 0) for name, at in waiting])
    while waiting and (message := consumer.poll(SECONDS)):
        error = message.error()
        if error is None:
            yield f"{message.key()!r} {message.headers()!r}", (message.value() or b"").decode(errors="replace")
        elif error.code() == KafkaError._PARTITION_EOF:
            waiting.discard((str(message.topic()), message.partition() or 0))
    consumer.close()
    assert not waiting


def metrics(system: System) -> Texts:
    told: dict[str, Any] = json.loads((system.stack.folder / "stack.json").read_text())
    urls = [f"{system.url}/metrics", *told["metrics"].values()]
    return {url: _read(url) for url in urls}


def _read(url: str) -> str:
    with urlopen(url, timeout=15) as answer:
        return str(answer.read().decode())


def logs(system: System) -> Texts:
    """Return the logs of the application and of the servers."""
    return {str(path): path.read_text(errors="replace") for path in Path(system.stack.folder, "logs").iterdir()}


def dead_letters(system: System) -> Texts:
    sql = """SELECT id, reason, error, traceback, headers::text, encode(coalesce(key, ''), 'escape')
             FROM kafka_bridge_deadletter"""
    return {f"dead letter {row[0]}": repr(row) for row in query(system, sql)}


def test_personal_data_stays_in_rows(system: System, people: list[Client]) -> None:
    for client in people:
        misuse(system, client)
        assert client.persona is not None
        search_as_admin(system, client.persona)
    write_what_nobody_reads(system, (stranger := gather(1, 0, random.Random())[0]))
    found = list(messages(system))
    texts = metrics(system) | logs(system) | dead_letters(system)
    texts |= {f"message {number}": head for number, (head, _) in enumerate(found)}
    values = "\n".join(value for _, value in found)
    for client in (*people, Client(people[0].port, persona=stranger)):
        told = secrets_of(client)
        assert any(secret in values for secret in told), "nothing was looked at"
        leaks = {place: secret for place, text in texts.items() for secret in told if secret in text}
        assert not leaks
    texts["values"] = values
    for client in people:
        assert not [place for place, text in texts.items() if client.token in text]
