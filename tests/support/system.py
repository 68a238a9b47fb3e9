"""Clients of the whole system, which runs in separate processes (see mamochi_site/local)."""

import http.client
import json
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import psycopg

from deploy.embedded.waiting import wait_until
from mamochi_site.local.demo.people import Persona, gather
from mamochi_site.local.system import System

SECONDS = 60.0
TOKEN = re.compile(r"mmc_\w+")


@dataclass(frozen=True)
class Answer:
    """A response: status, decoded JSON, headers with names in lower case."""

    status: int
    body: Any
    headers: Mapping[str, str]


@dataclass
class Client:
    """A client of the API that makes each call once, without retries.

    `sent` has the ids of the sales that were answered 202.
    """

    port: int
    token: str = ""
    persona: Persona | None = None
    sent: list[str] = field(default_factory=list)

    def call(self, method: str, path: str, body: object = None) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=15)
        identity = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        payload = None if body is None else json.dumps(body)
        try:
            connection.request(method, f"/api/v1/{path}", payload, {"Content-Type": "application/json", **identity})
            response = connection.getresponse()
            content = response.read()
            headers = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, json.loads(content) if content else None, headers)
        finally:
            connection.close()

    def sell(self, cantidad: int = 1) -> Answer:
        sale = str(uuid4())
        answer = self.call("POST", "ventas/", {"id": sale, "producto": "mediano", "cantidad": cantidad})
        if answer.status == 202:
            self.sent.append(sale)
        return answer

    def has(self, sale: str) -> bool:
        return self.call("GET", f"ventas/{sale}/").status == 200


def enrol(system: System, port: int, *, paid: bool) -> Client:
    """Enrol a new person and return a client with the token from the credentials e-mail."""
    client = Client(port, persona=gather(1, int(paid), random.Random())[0])
    assert client.persona is not None
    answer = client.call("POST", "inscripciones/", client.persona.formulario())
    assert answer.status == 202, answer.body
    mails = system.stack.mailbox.wait_for(
        to=client.persona.email, subject="Tus credenciales de MAMOCHI", timeout=SECONDS
    )
    found = TOKEN.search(mails[0].text)
    assert found is not None
    client.token = found[0]
    return client


def query(system: System, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
    """Return rows of the system's database, read on a separate connection."""
    with psycopg.connect(system.environment["DATABASE_URL"]) as connection:
        return connection.execute(sql, parameters).fetchall()


def wait_for_sales(client: Client, timeout: float = SECONDS) -> None:
    """Wait until every sale that was answered 202 can be read."""
    wait_until(lambda: all(client.has(sale) for sale in client.sent[-5:]), timeout)
    wait_until(lambda: all(client.has(sale) for sale in client.sent), timeout)
