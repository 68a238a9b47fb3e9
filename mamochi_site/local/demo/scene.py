"""The state of the demo: written by maestros and observers, read by dashboard and audit."""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from mamochi_site.local.demo.people import Persona

LOG_LINES = 200


@dataclass(frozen=True)
class Pace:
    """The speed of the demo, in seconds; each maestro makes `sales` sales.

    The forms arrive within `stagger`; a maestro reads the API or the mailbox every `poll`.
    """

    sales: int
    between_sales: tuple[float, float]
    stagger: float
    poll: float
    # How many times as long as usual everybody waits for the system.
    patience: float = 1.0

    @classmethod
    def real(cls) -> "Pace":
        """Return the pace of real maestros: a sale every 5 to 7 s."""
        return cls(sales=15, between_sales=(5.0, 7.0), stagger=4.0, poll=0.5)

    @classmethod
    def fast(cls) -> "Pace":
        """Return a pace thirty times as fast, with enough sales to empty each cart twice."""
        return cls(sales=23, between_sales=(0.15, 0.25), stagger=0.5, poll=0.1)


class Line(NamedTuple):
    """A line of the log: something that happened `at` seconds after the beginning."""

    at: float
    text: str
    style: str


@dataclass(frozen=True)
class Sold:
    """A sale accepted by the API."""

    id: str
    producto: str
    cantidad: int


@dataclass
class Puesto:
    """One maestro's cart, as far as the API's answers and the mailbox show it.

    `approved_after` is the seconds from form to approval; `stock` and `movimientos` are the rows of
    GET stock/ and GET stock/movimientos/.
    """

    persona: Persona
    estado: str = "por inscribirse"
    inscripcion_id: str = ""
    approved_after: float | None = None
    sold: list[Sold] = field(default_factory=list)
    avisos: int = 0
    stock: list[dict[str, Any]] = field(default_factory=list)
    movimientos: list[dict[str, Any]] = field(default_factory=list)
    reposiciones: int = 0
    done: bool = False


@dataclass
class Scene:
    """Everything on the screen.

    `lag` and `applied` are numbers of messages by consumer and lane; `mails` are (to, subject).
    Plain assignments are safe between threads; the log has a lock.
    """

    puestos: list[Puesto]
    pace: Pace
    on_line: Callable[[Line], None] = lambda _: None
    phase: str = "Partiendo"
    lag: dict[str, int] = field(default_factory=dict)
    applied: dict[str, int] = field(default_factory=dict)
    mails: list[tuple[str, str]] = field(default_factory=list)
    lines: deque[Line] = field(default_factory=lambda: deque(maxlen=LOG_LINES))
    began: float = field(default_factory=time.monotonic)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def elapsed(self) -> float:
        """Return the seconds since the demo began."""
        return time.monotonic() - self.began

    @property
    def progress(self) -> float:
        """Return the share of all sales that are made, from 0 to 1."""
        return sum(len(puesto.sold) for puesto in self.puestos) / (self.pace.sales * len(self.puestos))

    def say(self, text: str, style: str = "") -> None:
        """Add a line to the log; `style` is one of rich's, such as a colour."""
        line = Line(self.elapsed, text, style)
        with self._lock:
            self.lines.append(line)
            self.on_line(line)
