"""One simulated maestro: enrols, reads its token in its mail, sells, and says when the cart is empty."""

import random
import re
import threading
import time
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
SALES_A_CART: Final = 10

# As much of everything as ten `mediano`, in any order: the cart is empty after the tenth sale and not before.
TEN_SALES: Final = ["chico"] * 2 + ["mediano"] * 6 + ["grande"] * 2
LONGEST_WAIT_S: Final = 60.0


class Maestro:
    """Plays one part, in a thread of its own; `puesto` tells how far it has come."""

    def __init__(self, puesto: Puesto, scene: Scene, api: Api, mailbox: Mailbox, seed: int) -> None:
        self.puesto = puesto
        self.persona = puesto.persona
        self.api = api
        self.mailbox = mailbox
        self.scene = scene
        self.pace = scene.pace
        self.stop: threading.Event = api.stop
        self.chance = random.Random(seed)  # noqa: S311 - a demo that can be repeated

    def play(self) -> None:
        """The whole part. Raises Refused where the system does not do what it promises, Stopped when told to stop."""
        self._pause(self.chance.uniform(0, self.pace.stagger))
        began = time.monotonic()
        self._wait_for_approval(self._enrol(), began)
        self.api.token = self._token()
        self.puesto.estado = "con token"
        self._look_at_stock_until(self._is_loaded, "el carro no se cargó", "consumer-inventario")
        for number in range(self.pace.sales):
            self._sell(number)
            if (number + 1) % SALES_A_CART == 0:
                self._run_out()
            self._until_next_sale()
        self.puesto.done = True

    # Enrolment

    def _enrol(self) -> str:
        """Posts the form; returns the path at which its progress can be followed."""
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

        self._until(approved, "la inscripción no fue aprobada", "consumer-aprobacion")
        self.puesto.approved_after = time.monotonic() - began
        self._say(f"tiene su inscripción aprobada en {self.puesto.approved_after:.1f} s".replace(".", ","), "green")

    def _token(self) -> str:
        """The token as it stands in the text of the credentials mail."""
        self._until(self._credentials, f"no llegó el correo «{CREDENTIALS_SUBJECT}»", "celery-worker")
        found = TOKEN.search(self._credentials()[0].text)
        if found is None:
            raise Refused(f"el correo de credenciales de {self.persona.nombre} no trae un token", "celery-worker")
        self._say("recibió su token por correo", "cyan")
        return found[0]

    def _credentials(self) -> list[Any]:
        return self.mailbox.mails(to=self.persona.email, subject=CREDENTIALS_SUBJECT)

    # Sales and stock

    def _sell(self, number: int) -> None:
        if number % SALES_A_CART == 0:
            self.deck = self.chance.sample(TEN_SALES, SALES_A_CART)
        sale: dict[str, Any] = {
            "id": self._uuid(),
            "producto": self.deck[number % SALES_A_CART],
            "cantidad": 1,
            "vendida_en": datetime.now(UTC).isoformat(),
        }
        accepted = self.api.post("/api/v1/ventas/", sale)
        self.puesto.sold.append(Sold(accepted["id"], sale["producto"], 1))
        self._say(f"vendió un {sale['producto']} ({number + 1})")
        if number % SALES_A_CART == SALES_A_CART // 2:
            self._sell_again(sale)

    def _sell_again(self, sale: dict[str, Any]) -> None:
        """As after a lost answer: the same sale, with the same id, must count once."""
        again = self.api.post("/api/v1/ventas/", sale)
        if again["id"] != self.puesto.sold[-1].id:
            raise Refused(f"la venta {sale['id']} repetida recibió otro id: {again['id']}")
        self._say("repitió su última venta con el mismo id: debe contar una vez", "dim")

    def _run_out(self) -> None:
        """Says that the cart is empty, and sees its stock go up."""
        before = {row["insumo"]: row["cantidad"] for row in self.puesto.stock}
        self.api.post("/api/v1/stock/avisos/", {}, key=self._uuid())
        self.puesto.avisos += 1
        self._say("avisó que se quedó sin stock", "red")
        self._look_at_stock_until(
            lambda: all(row["cantidad"] > before[row["insumo"]] for row in self.puesto.stock),
            "el stock no subió",
            "consumer-distribuidores",
        )
        self.puesto.reposiciones += 1
        self._say("tiene el carro lleno otra vez", "green")

    def _until_next_sale(self) -> None:
        """The time between two sales, with an eye on the stock."""
        next_sale = time.monotonic() + self.chance.uniform(*self.pace.between_sales)
        while (left := next_sale - time.monotonic()) > 0:
            self._look_at_stock()
            self._pause(min(left, max(1.0, self.pace.look)))

    def _look_at_stock(self) -> None:
        self.puesto.stock = self.api.get("/api/v1/stock/")

    def _is_loaded(self) -> bool:
        return bool(self.puesto.stock) and not any(row["agotado"] for row in self.puesto.stock)

    def _look_at_stock_until(self, condition: Callable[[], bool], otherwise: str, log: str) -> None:
        def seen() -> bool:
            self._look_at_stock()
            return condition()

        self._until(seen, otherwise, log)

    # Time

    def _until(self, condition: Callable[[], object], otherwise: str, log: str) -> None:
        """Looks until the condition holds. Raises Refused after LONGEST_WAIT_S: the system is late, and `log` tells why."""
        deadline = time.monotonic() + LONGEST_WAIT_S
        while not condition():
            if time.monotonic() >= deadline:
                raise Refused(f"{self.persona.nombre}: {otherwise} en {LONGEST_WAIT_S:g} s", log)
            self._pause(self.pace.look)

    def _pause(self, seconds: float) -> None:
        if self.stop.wait(seconds):
            raise Stopped

    def _uuid(self) -> str:
        return str(UUID(int=self.chance.getrandbits(128), version=4))

    def _say(self, text: str, style: str = "") -> None:
        self.scene.say(f"{self.persona.apodo} {text}", style)
