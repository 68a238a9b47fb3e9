"""A simulated maestro: enrols, reads the token in an e-mail, sells, and reports an empty cart."""

import random
import re
import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import UUID

from deploy.embedded.mailbox import Mailbox
from mamochi_site.local.demo.client import Api, Refused, Stopped
from mamochi_site.local.demo.scene import Puesto, Scene, Sold

CREDENTIALS_SUBJECT: Final = "Tus credenciales de MAMOCHI"
TOKEN: Final = re.compile(r"\bmmc_[0-9A-Za-z]+")
SALES_PER_CART: Final = 10

# Together these take as much of each ingredient as ten `mediano`. So the cart is empty after the
# tenth sale and not before, whatever their order.
TEN_SALES: Final = ["chico"] * 2 + ["mediano"] * 6 + ["grande"] * 2
LONGEST_WAIT_S: Final = 60.0


class Maestro:
    """One maestro, played in a separate thread; `puesto` records the progress."""

    def __init__(self, puesto: Puesto, scene: Scene, api: Api, mailbox: Mailbox, seed: int) -> None:
        self.puesto = puesto
        self.persona = puesto.persona
        self.api = api
        self.mailbox = mailbox
        self.scene = scene
        self.pace = scene.pace
        self.stop: threading.Event = api.stop
        self.chance = random.Random(seed)

    def play(self) -> None:
        """Play the whole part.

        Raises Refused when the system does not do what it promises, Stopped when the demo is
        stopped.
        """
        self._pause(self.chance.uniform(0, self.pace.stagger))
        began = time.monotonic()
        self._wait_for_approval(self._enrol(), began)
        self.api.token = self._token()
        self.puesto.estado = "con token"
        self._poll_stock_until(self._is_loaded, "el carro no se cargó", "consumer-inventario")
        for number in range(self.pace.sales):
            self._sell(number)
            if (number + 1) % SALES_PER_CART == 0:
                self._report_empty_cart()
            self._wait_for_next_sale()
        self.puesto.done = True

    def _enrol(self) -> str:
        """Post the form and return the path of the enrolment's state."""
        answer = self.api.post("/api/v1/inscripciones/", self.persona.formulario(), key=self._uuid())
        self.puesto.inscripcion_id, self.puesto.estado = answer["id"], answer["estado"]
        self._say(f"envió su inscripción por la vía {answer['via']}")
        return str(urlsplit(answer["url"]).path)

    def _wait_for_approval(self, path: str, began: float) -> None:
        def approved() -> bool:
            answer = self.api.get(path)
            self.puesto.estado = answer["estado"]
            if answer["estado"] == "rechazada":
                raise Refused(
                    f"la inscripción de {self.persona.nombre} fue rechazada: {answer['motivo']}", "consumer-aprobacion"
                )
            return bool(answer["estado"] == "aprobada")

        self._wait_until(approved, "la inscripción no fue aprobada", "consumer-aprobacion")
        self.puesto.approved_after = time.monotonic() - began
        self._say(f"tiene su inscripción aprobada en {self.puesto.approved_after:.1f} s".replace(".", ","), "green")

    def _token(self) -> str:
        """Wait for the credentials e-mail and return the token in its text."""
        self._wait_until(self._credentials, f"no llegó el correo «{CREDENTIALS_SUBJECT}»", "celery-worker")
        found = TOKEN.search(self._credentials()[0].text)
        if found is None:
            raise Refused(f"el correo de credenciales de {self.persona.nombre} no trae un token", "celery-worker")
        self._say("recibió su token por correo", "cyan")
        return found[0]

    def _credentials(self) -> list[Any]:
        return self.mailbox.mails(to=self.persona.email, subject=CREDENTIALS_SUBJECT)

    def _sell(self, number: int) -> None:
        if number % SALES_PER_CART == 0:
            self.deck = self.chance.sample(TEN_SALES, SALES_PER_CART)
        sale: dict[str, Any] = {
            "id": self._uuid(),
            "producto": self.deck[number % SALES_PER_CART],
            "cantidad": 1,
            "vendida_en": datetime.now(UTC).isoformat(),
        }
        accepted = self.api.post("/api/v1/ventas/", sale)
        self.puesto.sold.append(Sold(accepted["id"], sale["producto"], 1))
        self._say(f"vendió un {sale['producto']} ({number + 1})")
        if number % SALES_PER_CART == SALES_PER_CART // 2:
            self._repeat_sale(sale)

    def _repeat_sale(self, sale: dict[str, Any]) -> None:
        """Post the same sale with the same id, as after a lost answer; it must count once."""
        again = self.api.post("/api/v1/ventas/", sale)
        if again["id"] != self.puesto.sold[-1].id:
            raise Refused(f"la venta {sale['id']} repetida recibió otro id: {again['id']}")
        self._say("repitió su última venta con el mismo id: debe contar una vez", "dim")

    def _report_empty_cart(self) -> None:
        """Post an out-of-stock notice and wait until the cart is filled."""
        before = {row["insumo"]: row["cantidad"] for row in self.puesto.stock}
        self.api.post("/api/v1/stock/avisos/", {}, key=self._uuid())
        self.puesto.avisos += 1
        self._say("avisó que se quedó sin stock", "red")
        self._poll_stock_until(
            lambda: all(row["cantidad"] > before[row["insumo"]] for row in self.puesto.stock) or self._was_filled(),
            "el stock no subió",
            "consumer-distribuidores",
        )
        self.puesto.reposiciones += 1
        self._say("tiene el carro lleno otra vez", "green")

    def _was_filled(self) -> bool:
        """Return True if the ledger has a restock of each ingredient for every notice.

        While a broker is away sales are applied late, so the last stock that the maestro saw may be
        that of a full cart: then no restock brings it above.
        """
        movements = self.api.get_all("/api/v1/stock/movimientos/")
        filled = Counter(row["insumo"] for row in movements if row["tipo"] == "reposicion")
        return all(filled[row["insumo"]] >= self.puesto.avisos for row in self.puesto.stock)

    def _wait_for_next_sale(self) -> None:
        """Wait for the time between two sales, reading the stock meanwhile."""
        next_sale = time.monotonic() + self.chance.uniform(*self.pace.between_sales)
        while (left := next_sale - time.monotonic()) > 0:
            self._read_stock()
            self._pause(min(left, max(1.0, self.pace.poll)))

    def _read_stock(self) -> None:
        self.puesto.stock = self.api.get("/api/v1/stock/")

    def _is_loaded(self) -> bool:
        return bool(self.puesto.stock) and not any(row["agotado"] for row in self.puesto.stock)

    def _poll_stock_until(self, condition: Callable[[], bool], otherwise: str, log: str) -> None:
        def read_and_check() -> bool:
            self._read_stock()
            return condition()

        self._wait_until(read_and_check, otherwise, log)

    def _wait_until(self, condition: Callable[[], object], otherwise: str, log: str) -> None:
        """Poll until the condition holds.

        Raises Refused after LONGEST_WAIT_S times the pace's patience, with the text `otherwise`
        and the name of the log to read.
        """
        longest = LONGEST_WAIT_S * self.pace.patience
        deadline = time.monotonic() + longest
        while not condition():
            if time.monotonic() >= deadline:
                raise Refused(f"{self.persona.nombre}: {otherwise} en {longest:g} s", log)
            self._pause(self.pace.poll)

    def _pause(self, seconds: float) -> None:
        if self.stop.wait(seconds):
            raise Stopped

    def _uuid(self) -> str:
        return str(UUID(int=self.chance.getrandbits(128), version=4))

    def _say(self, text: str, style: str = "") -> None:
        self.scene.say(f"{self.persona.apodo} {text}", style)
