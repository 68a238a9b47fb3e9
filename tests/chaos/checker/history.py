"""The history: what clients asked, when, and what they were told."""

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final

ACCEPTED: Final = 202
SHOWN: Final = 200
NO_ANSWER: Final = 0
SERVER_ERRORS: Final = 500

INSCRIPCION: Final = "inscripcion"
VENTA: Final = "venta"
ANULACION: Final = "anulacion"
AVISO: Final = "aviso"
READ_SALES: Final = "lee_ventas"
READ_SALE: Final = "lee_venta"
READ_WEEK: Final = "lee_semana"
READ_CART: Final = "lee_carro"
READS: Final = frozenset({READ_SALES, READ_SALE, READ_WEEK, READ_CART})


@dataclass(frozen=True)
class Operation:
    """One attempt of one client, whose attempts follow each other.

    `asked`: seconds since the run began; `took`: seconds until the answer; `status` 0: no answer.
    `ids`: of the enrolment, the sales, the voided sale or the notice. `who`: the client's e-mail.
    `content`: of sales `[[producto, cantidad], ...]` in the order of the ids; of a notice its key
    and its ingredients. `answer`: the body that a read was shown.
    """

    asked: float
    took: float
    kind: str
    ids: tuple[str, ...]
    status: int
    who: str = ""
    content: Any = None
    answer: Any = None
    line: int = field(default=0, compare=False)  # in the journal, from 1

    @property
    def answered(self) -> float:
        """Return when the answer came, or the client gave up."""
        return self.asked + self.took

    @property
    def accepted(self) -> bool:
        return self.status == ACCEPTED

    @property
    def indefinite(self) -> bool:
        """Return True if this attempt may or may not have taken effect."""
        return self.status == NO_ANSWER or self.status >= SERVER_ERRORS

    def __str__(self) -> str:
        what = ", ".join(self.ids[:3]) + (f" and {len(self.ids) - 3} more" if len(self.ids) > 3 else "")
        answer = f"answered {self.status}" if self.status else "no answer"
        return f"line {self.line}: {self.kind} {what} by {self.who}, {self.asked:.3f} + {self.took:.3f} s, {answer}"


@dataclass(frozen=True)
class Wish:
    """One thing that a client wants, with all attempts to get it."""

    id: str
    who: str
    content: Any
    attempts: tuple[Operation, ...]

    @cached_property
    def accepted_at(self) -> float | None:
        """Return when the client knew first that it was accepted; None if never."""
        return min((one.answered for one in self.attempts if one.accepted), default=None)

    @property
    def accepted(self) -> bool:
        return self.accepted_at is not None

    @property
    def possible(self) -> bool:
        """Return False if every attempt was refused, so that nothing may have happened."""
        return any(one.accepted or one.indefinite for one in self.attempts)

    @property
    def asked(self) -> float:
        return self.attempts[0].asked


class History:
    """All operations, and the wishes behind them by id.

    A wish for a notice has the client's key as its id, because the notice's own id comes with the
    answer; one for an enrolment has the person's e-mail.
    """

    def __init__(self, operations: Iterable[Operation]) -> None:
        self.operations = sorted(operations, key=lambda one: one.asked)
        self.sales = self._wishes(VENTA)
        self.voids = self._wishes(ANULACION)
        self.notices = self._wishes(AVISO)
        self.enrolments = self._wishes(INSCRIPCION)

    @property
    def reads(self) -> list[Operation]:
        return [one for one in self.operations if one.kind in READS]

    @cached_property
    def clients(self) -> list[str]:
        return sorted({one.who for one in self.operations})

    @cached_property
    def sales_of(self) -> dict[str, list[Wish]]:
        """Return the wishes for sales by client, in the order of their first attempts."""
        return _by_client(self.sales)

    @cached_property
    def voids_of(self) -> dict[str, list[Wish]]:
        """Return the wishes for voids by client; their ids are those of the sales."""
        return _by_client(self.voids)

    def _wishes(self, kind: str) -> dict[str, Wish]:
        attempts: dict[str, list[Operation]] = defaultdict(list)
        contents: dict[str, Any] = {}
        for one in self.operations:
            if one.kind == kind:
                for id_, content in _parts(one):
                    attempts[id_].append(one)
                    contents.setdefault(id_, content)
        return {id_: Wish(id_, of[0].who, contents[id_], tuple(of)) for id_, of in attempts.items()}


def _parts(one: Operation) -> list[tuple[str, Any]]:
    """Return what an attempt asks for, as pairs of a wish's id and its content."""
    match one.kind:
        case "inscripcion":
            return [(one.who, one.content)]
        case "aviso":
            return [(one.content["key"], one.content)]
        case "venta":
            return [(id_, tuple(content)) for id_, content in zip(one.ids, one.content, strict=True)]
        case _:
            return [(id_, one.content) for id_ in one.ids]


def _by_client(wishes: dict[str, Wish]) -> dict[str, list[Wish]]:
    of: dict[str, list[Wish]] = defaultdict(list)
    for wish in wishes.values():
        of[wish.who].append(wish)
    return dict(of)


def to_line(one: Operation) -> str:
    """Return the operation as a line of the journal."""
    fields = asdict(one)
    del fields["line"]
    return json.dumps(fields, ensure_ascii=False) + "\n"


def read(path: Path) -> History:
    """Return the history that a journal holds; the last line may be cut off."""
    operations = []
    for number, line in enumerate(path.read_text().splitlines(keepends=True), start=1):
        if line.endswith("\n"):
            fields = json.loads(line)
            operations.append(Operation(**{**fields, "ids": tuple(fields["ids"])}, line=number))
    return History(operations)
