"""The load: people enrol, sell, void and run out over HTTP, and retry with the same ids.

They also read their sales, their week and their cart, as their programs do.
"""

import http.client
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from typing import Any, Final
from uuid import UUID

from deploy.embedded.mailbox import Mailbox
from mamochi_site.local.demo.client import Answer, Api
from mamochi_site.local.demo.maestro import CREDENTIALS_SUBJECT, TOKEN
from mamochi_site.local.demo.people import Persona, gather
from tests.chaos.checker.history import (
    ANULACION,
    AVISO,
    INSCRIPCION,
    NO_ANSWER,
    READ_CART,
    READ_SALE,
    READ_SALES,
    READ_WEEK,
    SHOWN,
    VENTA,
    Operation,
)
from tests.chaos.gate import Gate
from tests.chaos.journal import Journal

VENDORS: Final = 24  # so many keys that most partitions have messages
PATIENCE_S: Final = 45.0  # seconds for which a program retries one request
LONGEST_PAUSE_S: Final = 3.0
# A retry may succeed. 404: the sale is accepted and not yet written; 401: a newer token came.
NOT_YET: Final = frozenset({NO_ANSWER, 401, 404, 429, 502, 503, 504})
PRODUCTS: Final = ("chico", "mediano", "grande")
INGREDIENTS: Final = ("mote", "huesillo", "jugo", "vaso")


@dataclass(frozen=True)
class World:
    """What all clients share."""

    url: str
    mailbox: Mailbox
    journal: Journal
    gate: Gate
    stop: threading.Event
    reading: float = 0.5  # how often a maestro reads each of four things; a sale has 10


@dataclass(frozen=True)
class Request:
    """What a client wants, and how the journal tells it (checker/history.py)."""

    kind: str
    path: str
    body: object = None
    ids: tuple[str, ...] = ()
    content: Any = None
    key: str = ""


class Someone(threading.Thread):
    """A client of the API with its own random generator, so that a seed repeats its actions."""

    def __init__(self, world: World, seed: int) -> None:
        super().__init__(daemon=True)
        self.api = Api(world.url, world.stop)
        self.mailbox, self.journal, self.gate, self.stop = world.mailbox, world.journal, world.gate, world.stop
        self.chance = random.Random(seed)
        self.who = ""  # the e-mail of the person for whom this client works

    def insist(self, request: Request) -> Answer | None:
        """Repeat a POST until its answer is final; return None when the patience ends first.

        Time in front of the gate takes no patience.
        """
        deadline = self.journal.now() + PATIENCE_S
        while self.journal.now() < deadline and not self.stop.is_set():
            with self.gate.passing(request.kind, self.stop) as waited:
                deadline += waited
                if self.stop.is_set():
                    return None
                answer = self.ask(request)
            if answer and answer.status not in NOT_YET:
                return answer
            self._pause(answer)
            if answer and answer.status == 401:
                self.read_token()
        return None

    def ask(self, request: Request) -> Answer | None:
        """Make one attempt and write it to the journal."""
        headers = {"Idempotency-Key": request.key} if request.key else {}
        asked = self.journal.now()
        try:
            answer = self.api.send("POST", f"/api/v1/{request.path}", request.body, headers)
        except (OSError, http.client.HTTPException):
            answer = None
        named = request.ids or ((str(answer.body["id"]),) if answer and answer.status == 202 else ())
        self._note(request, asked, named, answer)
        return answer

    def _note(
        self, request: Request, asked: float, ids: tuple[str, ...], answer: Answer | None, shown: Any = None
    ) -> None:
        status, took = answer.status if answer else NO_ANSWER, self.journal.now() - asked
        self.journal.note(Operation(asked, took, request.kind, ids, status, self.who, request.content, shown))

    def read(self, kind: str, path: str, *ids: str) -> None:
        """Read once and write to the journal what was shown."""
        asked = self.journal.now()
        try:
            answer = self.api.send("GET", f"/api/v1/{path}", None, {})
        except (OSError, http.client.HTTPException):
            answer = None
        shown = answer.body if answer and answer.status == SHOWN else None
        self._note(Request(kind, path), asked, ids, answer, shown)

    def _pause(self, answer: Answer | None) -> None:
        wanted = answer.headers.get("retry-after", "") if answer else ""
        seconds = min(float(wanted) if wanted.isdecimal() else 0.5, LONGEST_PAUSE_S)
        self.stop.wait(seconds * self.chance.uniform(0.5, 1.0))

    def read_token(self) -> None:
        """Return the token from the newest e-mail."""

    def enrol(self, persona: Persona) -> None:
        """Send the form; its id is the server's, because the same form is the same enrolment."""
        self.who = persona.email
        self.insist(Request(INSCRIPCION, "inscripciones/", persona.formulario(), content=persona.rut))

    def uuid(self) -> str:
        return str(UUID(int=self.chance.getrandbits(128), version=4))


class Vendor(Someone):
    """A maestro who enrols, reads the token in the e-mail, and works until the stop."""

    def __init__(self, persona: Persona, world: World, seed: int) -> None:
        super().__init__(world, seed)
        self.persona = persona
        self.reading = world.reading
        self.haste = 0.5  # how often this maestro reports a shortage right after a sale
        self.sold: list[str] = []  # accepted and not voided

    def run(self) -> None:
        """Work until the stop."""
        self.enrol(self.persona)
        while not self.api.token and not self.stop.wait(0.5):
            self.read_token()
        while not self.stop.is_set():
            [act] = self.chance.choices(*zip(*self._habits(), strict=True))
            act()
            self.stop.wait(self.chance.uniform(0.9, 2.7))

    def read_token(self) -> None:
        """Return the token in the newest e-mail."""
        self.api.token = token_of(self.mailbox, self.persona.email)

    def _habits(self) -> list[tuple[Callable[[], None], float]]:
        return [
            (self._sell, 10),
            (self._sell_again, 1),
            (self._send_the_day, 2),
            (self._take_back, 1),
            (self._run_out, 1),
            (self._run_out_of_one, self.haste),
            (partial(self.read, READ_SALES, "ventas/"), self.reading),
            (partial(self.read, READ_WEEK, "ventas/resumen/"), self.reading),
            (partial(self.read, READ_CART, "stock/"), self.reading),
            (self._look_at_a_sale, self.reading),
        ]

    def _sell(self) -> None:
        self._register([self.uuid()], as_list=False)

    def _sell_again(self) -> None:
        """Send a sale again, as a program that lost the answer or a double tap does."""
        if self.sold:
            self._register([self.chance.choice(self.sold)], as_list=False)

    def _send_the_day(self) -> None:
        """Send a list of older sales, as a phone that was offline does."""
        self._register([self.uuid() for _ in range(self.chance.randint(2, 30))], as_list=True)

    def _register(self, ids: list[str], *, as_list: bool) -> None:
        sales = [{"id": id_, "producto": PRODUCTS[UUID(id_).int % 3], "cantidad": 1 + UUID(id_).int % 2} for id_ in ids]
        content = [[sale["producto"], sale["cantidad"]] for sale in sales]
        answer = self.insist(Request(VENTA, "ventas/", sales if as_list else sales[0], tuple(ids), content))
        if answer and answer.status == 202:
            self.sold += [id_ for id_ in ids if id_ not in self.sold]

    def _take_back(self) -> None:
        if self.sold:
            sale = self.sold.pop(self.chance.randrange(len(self.sold)))
            self.insist(Request(ANULACION, f"ventas/{sale}/anular/", {}, (sale,)))

    def _run_out(self) -> None:
        self._report([])

    def _run_out_of_one(self) -> None:
        """Sell, and report at once that something is short: the notice may be the faster one."""
        self._sell()
        self._report([self.chance.choice(INGREDIENTS)])

    def _report(self, ingredients: list[str]) -> None:
        key = self.uuid()
        content = {"key": key, "insumos": ingredients}
        self.insist(Request(AVISO, "stock/avisos/", {"insumos": ingredients}, content=content, key=key))

    def _look_at_a_sale(self) -> None:
        if self.sold:
            sale = self.chance.choice(self.sold)
            self.read(READ_SALE, f"ventas/{sale}/", sale)


class Newcomers(Someone):
    """Somebody who enrols new people, every second one Paid."""

    def __init__(self, people: "Crowd", world: World, seed: int) -> None:
        super().__init__(world, seed)
        self.people = people

    def run(self) -> None:
        """Work until the stop."""
        while not self.stop.wait(self.chance.uniform(1.0, 3.0)):
            self.enrol(self.people.next())


class Crowd:
    """A source of people with unique RUT and e-mail."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.numbers = count(1)
        self.ruts: set[str] = set()

    def next(self) -> Persona:
        """Return another person; every second one is Paid."""
        number = next(self.numbers)
        [persona] = gather(1, number % 2, self.chance)
        if persona.rut in self.ruts:
            return self.next()
        self.ruts.add(persona.rut)
        receipt = f"TRX-{number:09}" if persona.paid else ""
        return replace(persona, email=f"maestro{number}@example.cl", comprobante=receipt)


def token_of(mailbox: Mailbox, email: str) -> str:
    """Return the token in the newest credentials e-mail of the address, or an empty string."""
    mails = mailbox.mails(to=email, subject=CREDENTIALS_SUBJECT)
    found = TOKEN.search(mails[-1].text) if mails else None
    return found[0] if found else ""
