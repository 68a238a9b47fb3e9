"""What has happened so far: written by the maestros and the observers, read by the dashboard and the audit."""

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
    """How fast they live. Times are seconds; a maestro makes `sales` sales."""

    sales: int
    between_sales: tuple[float, float]
    stagger: float  # the forms arrive within this time
    look: float  # how often a maestro looks at the API or the mailbox

    @classmethod
    def real(cls) -> "Pace":
        """The evaluation scenario's: a sale every 5 to 7 s."""
        return cls(sales=15, between_sales=(5.0, 7.0), stagger=4.0, look=0.5)

    @classmethod
    def fast(cls) -> "Pace":
        """The same story thirty times as fast, long enough to run out twice."""
        return cls(sales=23, between_sales=(0.15, 0.25), stagger=0.5, look=0.1)


class Line(NamedTuple):
    """Something that happened, `at` seconds after the beginning."""

    at: float
    text: str
    style: str


@dataclass(frozen=True)
class Sold:
    """A sale that the API accepted."""

    id: str
    producto: str
    cantidad: int


@dataclass
class Puesto:
    """One maestro's cart as the maestro knows it, from the answers of the API and from the mailbox alone."""

    persona: Persona
    estado: str = "por inscribirse"
    inscripcion_id: str = ""
    approved_after: float | None = None  # seconds from the form to the approval
    sold: list[Sold] = field(default_factory=list)
    avisos: int = 0
    stock: list[dict[str, Any]] = field(default_factory=list)  # GET stock/
    movimientos: list[dict[str, Any]] = field(default_factory=list)  # GET stock/movimientos/
    reposiciones: int = 0
    done: bool = False


@dataclass
class Scene:
    """Everything on the screen. Plain assignments are safe between threads; the log has a lock."""

    puestos: list[Puesto]
    pace: Pace
    on_line: Callable[[Line], None] = lambda _: None
    phase: str = "Partiendo"
    lag: dict[str, int] = field(default_factory=dict)  # messages behind, by consumer and lane
    applied: dict[str, int] = field(default_factory=dict)  # messages applied, by consumer and lane
    mails: list[tuple[str, str]] = field(default_factory=list)  # (to, subject)
    lines: deque[Line] = field(default_factory=lambda: deque(maxlen=LOG_LINES))
    began: float = field(default_factory=time.monotonic)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def elapsed(self) -> float:
        """Seconds since the demo began."""
        return time.monotonic() - self.began

    @property
    def progress(self) -> float:
        """How much of the sales is made, from 0 to 1."""
        return sum(len(puesto.sold) for puesto in self.puestos) / (self.pace.sales * len(self.puestos))

    def say(self, text: str, style: str = "") -> None:
        """Add a line to the log of what just happened; `style` is rich's, such as a colour."""
        line = Line(self.elapsed, text, style)
        with self._lock:
            self.lines.append(line)
            self.on_line(line)
