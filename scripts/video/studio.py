"""What is recorded: the system, the demo's dashboard in a terminal, a phone and a desk."""

import time
from argparse import Namespace
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from playwright.sync_api import Browser

from deploy.embedded.mailbox import Mailbox
from mamochi_site.local.demo.audit import ends
from mamochi_site.local.demo.client import Stopped
from mamochi_site.local.demo.director import Director
from mamochi_site.local.demo.scene import Pace, Puesto, Sold
from mamochi_site.local.system import System
from scripts.video.film import DESK, PHONE, Film, FilmFailed
from scripts.video.terminal import Terminal
from scripts.video.windows import Window

SEED: Final = 196  # Rosa enrols on the phone and has paid
# The others sell for as long as the phone and the admin are shown.
PACE: Final = replace(Pace.real(), sales=20, stagger=2.0, patience=4.0)
# Pixels of a letter: large enough for a film that is watched on a phone.
FONT_SIZE: Final = 19
LOOK_S: Final = 0.5  # between two looks at Rosa's enrolment or cart


@dataclass
class Place:
    """The system as the demo's director sees it; a server in `broken` was killed on purpose."""

    system: System
    broken: set[str] = field(default_factory=set)

    @property
    def url(self) -> str:
        """Return the web's address."""
        return self.system.url

    @property
    def mailbox(self) -> Mailbox:
        """Return the e-mails that the system sent."""
        return self.system.mailbox

    @property
    def logs(self) -> Path:
        """Return the folder with a log per process."""
        return self.system.logs

    def failure(self) -> str:
        """Return which process has ended with an error and its last words; else an empty text."""
        for process in self.system.stack.processes.values():
            if process.name not in self.broken and process.returncode not in (None, 0):
                return f"{process.name} terminó{process.last_words()}"
        return ""


class Studio:
    """Everything that the story uses.

    The demo's director plays four maestros and shows all five in the terminal; the first, Rosa, is
    played by the story on the phone. `folder` is for files of the run, `reading` as in Film.
    """

    def __init__(self, system: System, terminal: Terminal, browser: Browser, folder: Path, reading: float) -> None:
        self.system = system
        self.folder = folder
        self.place = Place(system)
        options = Namespace(pace=PACE, seed=SEED, picture=None)
        self.director = Director(self.place, options, terminal.console, by_hand=1)
        self.film = Film(
            terminal,
            Window(browser, system.url, PHONE[2:], FONT_SIZE),
            Window(browser, system.url, DESK.boxes["admin"][2:], FONT_SIZE),
            self.check,
            reading,
        )
        self._pool = ThreadPoolExecutor(2, thread_name_prefix="studio")
        # Rosa enrols before the director begins.
        self._since = ends()
        self._played: Future[bool] | None = None
        self._followed: Future[None] | None = None

    @property
    def rosa(self) -> Puesto:
        """Return Rosa's cart as the dashboard shows it."""
        return self.director.scene.puestos[0]

    @property
    def others(self) -> list[Puesto]:
        """Return the carts of the four maestros whom the director plays."""
        return self.director.scene.puestos[1:]

    def begin(self) -> None:
        """Let the director play, and follow Rosa with the API."""
        self._played = self._pool.submit(self.director.play, self._since)
        self._followed = self._pool.submit(follow, self.director)

    def check(self) -> None:
        """Raise what stopped the director, or FilmFailed if its audit failed."""
        for future in (self._played, self._followed):
            if future is not None and future.done() and future.result() is False:
                raise FilmFailed("the audit failed")

    @property
    def audited(self) -> bool:
        """Return True if the director's audit has passed."""
        return self._played is not None and self._played.done() and self._played.result()

    def sold(self, producto: str) -> None:
        """Count a sale of Rosa's that the phone says was received; its id is known later."""
        self.rosa.sold.append(Sold("", producto, 1))
        self.director.scene.say(f"{self.rosa.persona.apodo} vendió un {producto} ({len(self.rosa.sold)})")

    def named_sales(self) -> bool:
        """Give Rosa's sales their ids; return False while the API does not have them all.

        Raises FilmFailed if the API has other sales than the phone sent.
        """
        rows = self.director.apis[0].get_all("/api/v1/ventas/")
        if len(rows) < len(self.rosa.sold):
            return False
        sold = [Sold(row["id"], row["producto"], row["cantidad"]) for row in reversed(rows)]
        if [one.producto for one in sold] != [one.producto for one in self.rosa.sold]:
            raise FilmFailed(f"the phone sent {self.rosa.sold}, and the API has {sold}")
        self.rosa.sold[:] = sold
        return True

    def close(self) -> None:
        """End the threads."""
        self.director.stop.set()
        self._pool.shutdown()


def follow(director: Director) -> None:
    """Keep Rosa's enrolment and cart up to date on the dashboard, as the API tells them."""
    rosa, api, began = director.scene.puestos[0], director.apis[0], time.monotonic()
    try:
        while not director.stop.wait(LOOK_S):
            if not api.token:
                rosa.estado = api.get(f"/api/v1/inscripciones/{rosa.inscripcion_id}/")["estado"]
                if rosa.estado == "aprobada" and rosa.approved_after is None:
                    rosa.approved_after = time.monotonic() - began
                continue
            rosa.estado = "con token"
            rosa.stock = api.get("/api/v1/stock/")
            moved = Counter(
                row["insumo"] for row in api.get_all("/api/v1/stock/movimientos/") if row["tipo"] == "reposicion"
            )
            rosa.reposiciones = max(moved.values(), default=0)
    except Stopped:
        return


@contextmanager
def working(studio: Studio) -> Iterator[Studio]:
    """End the studio's threads at the end of the block."""
    try:
        yield studio
    finally:
        studio.close()
