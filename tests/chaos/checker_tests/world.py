"""A small guild that keeps every promise: it makes histories and final states for the tests."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from tests.chaos.checker.history import (
    ANULACION,
    AVISO,
    INSCRIPCION,
    READ_CART,
    READ_SALE,
    READ_SALES,
    READ_WEEK,
    VENTA,
    Operation,
)
from tests.chaos.checker.state import (
    Enrolment,
    FinalState,
    Held,
    Line,
    Maestro,
    Mail,
    Notice,
    Product,
    Report,
    Sale,
)

WEEK: Final = "2026-11-23"
CATALOGUE: Final = {
    "chico": Product(1_500, 380, {"vaso": 1, "mote": 100}),
    "grande": Product(2_500, 840, {"vaso": 1, "mote": 200}),
}
CAPACITIES: Final = {"vaso": 6, "mote": 900}
PAGE: Final = 4
# How an attempt ends: the client's status, and whether it takes effect.
OUTCOMES: Final = {
    "accepted": (202, True),
    "answer lost": (0, True),
    "request lost": (0, False),
    "unavailable": (503, False),
    "unavailable, and yet": (503, True),
    "refused": (429, False),
}


@dataclass
class Sold:
    """A sale that took effect; `counted`: the accounts and the cart have it."""

    id: str
    product: str
    quantity: int
    at: float
    voided: bool = False


@dataclass
class Member:
    """A maestro with a cart, and the sales that are on their way to the accounts."""

    email: str
    id: str
    ledger: list[Sold] = field(default_factory=list)
    under_way: list[Sold] = field(default_factory=list)
    voids_under_way: list[str] = field(default_factory=list)
    stock: Counter[str] = field(default_factory=lambda: Counter(CAPACITIES))

    def standing(self) -> list[Sold]:
        return [sold for sold in self.ledger if not sold.voided]


class World:
    """Members ask one after the other; everything is written down as a run writes it."""

    def __init__(self, members: int) -> None:
        self.clock = 0.0
        self.numbers = iter(range(1, 10**9))
        self.operations: list[Operation] = []
        self.lines: list[Line] = []
        self.notices: list[Notice] = []
        self.members = [self._enrol(number) for number in range(members)]

    def _enrol(self, number: int) -> Member:
        member = Member(f"m{number}@example.cl", f"maestro-{number}")
        self._note(member, INSCRIPCION, (f"form-{number}",), 202, content=f"rut-{number}")
        self._line(member, "carga", dict(CAPACITIES), f"form-{number}")
        return member

    def _note(self, member: Member, kind: str, ids: tuple[str, ...], status: int, **said: Any) -> None:
        self.operations.append(Operation(self.clock, 0.5, kind, ids, status, member.email, **said))
        self.clock += 1.0

    def _line(self, member: Member, kind: str, amounts: dict[str, int], cause: str) -> None:
        self.lines.append(Line(len(self.lines) + 1, member.id, kind, amounts, cause, self.clock))

    def sell(self, member: Member, products: list[str], outcomes: list[str]) -> None:
        """Send a list of sales until an attempt is accepted, or the outcomes end."""
        new = [Sold(f"sale-{next(self.numbers)}", product, 1 + n % 2, self.clock) for n, product in enumerate(products)]
        content = [[sold.product, sold.quantity] for sold in new]
        for outcome in outcomes:
            status, takes_effect = OUTCOMES[outcome]
            self._note(member, VENTA, tuple(sold.id for sold in new), status, content=content)
            if takes_effect:
                known = {sold.id for sold in [*member.ledger, *member.under_way]}
                member.under_way += [sold for sold in new if sold.id not in known]
            if status == 202:
                return

    def take_back(self, member: Member, choice: int, outcome: str) -> None:
        """Void one of the sales that the accounts have."""
        standing = [sold.id for sold in member.standing() if sold.id not in member.voids_under_way]
        if standing:
            status, takes_effect = OUTCOMES[outcome]
            sale = standing[choice % len(standing)]
            self._note(member, ANULACION, (sale,), status)
            if takes_effect:
                member.voids_under_way.append(sale)

    def arrive(self, member: Member) -> None:
        """Let everything arrive that is on its way."""
        for sold in member.under_way:
            member.ledger.append(sold)
            self._move(member, "venta", sold, -1)
        member.under_way.clear()
        for sold in member.ledger:
            if sold.id in member.voids_under_way and not sold.voided:
                sold.voided = True
                self._move(member, "anulacion", sold, 1)
        member.voids_under_way.clear()
        if out := [ingredient for ingredient in CAPACITIES if member.stock[ingredient] <= 0]:
            self._serve(member, f"notice-{next(self.numbers)}", out, "automatico")

    def _move(self, member: Member, kind: str, sold: Sold, sign: int) -> None:
        amounts = {code: sign * sold.quantity * n for code, n in CATALOGUE[sold.product].recipe.items()}
        member.stock.update(amounts)
        self._line(member, kind, amounts, sold.id)

    def _serve(self, member: Member, notice: str, ingredients: list[str], origin: str) -> None:
        missing = {code: CAPACITIES[code] - member.stock[code] for code in ingredients}
        missing = {code: amount for code, amount in missing.items() if amount > 0}
        if missing:
            member.stock.update(missing)
            self._line(member, "reposicion", missing, notice)
        for code in ingredients:
            state = "atendido" if code in missing else "infundado"
            self.notices.append(Notice(notice, member.id, code, origin, state, self.clock))

    def report(self, member: Member, ingredient: str, outcome: str) -> None:
        """Report that an ingredient is short; it is filled after all that was sold before."""
        status, takes_effect = OUTCOMES[outcome]
        notice = f"notice-{next(self.numbers)}"
        content = {"key": f"key of {notice}", "insumos": [ingredient]}
        self._note(member, AVISO, (notice,) if status == 202 else (), status, content=content)
        self.arrive(member)
        if takes_effect:
            self._serve(member, notice, [ingredient], "maestro")

    def read(self, member: Member, kind: str) -> None:
        """Show what the accounts and the cart have now."""
        rows = [self._row(sold) for sold in reversed(member.ledger)]
        if kind == READ_SALE:
            asked = member.ledger[-1].id if member.ledger else "sale-0"
            self._note(member, kind, (asked,), 200 if rows else 404, answer=rows[0] if rows else None)
        elif kind == READ_SALES:
            answer = {"next": "more" if len(rows) > PAGE else None, "results": rows[:PAGE]}
            self._note(member, kind, (), 200, answer=answer)
        elif kind == READ_WEEK:
            keys = ("cantidad_ventas", "unidades", "ingresos", "ganancias")
            self._note(member, kind, (), 200, answer={"semana": WEEK, **dict(zip(keys, sums(member), strict=True))})
        elif kind == READ_CART:
            cart = [{"insumo": code, "cantidad": max(0, member.stock[code])} for code in CAPACITIES]
            self._note(member, kind, (), 200, answer=cart)

    def _row(self, sold: Sold) -> dict[str, Any]:
        product = CATALOGUE[sold.product]
        return {
            "id": sold.id,
            "producto": sold.product,
            "ingresos": sold.quantity * product.price,
            "ganancias": sold.quantity * (product.price - product.cost),
            "vendida_en": datetime.fromtimestamp(sold.at, UTC).isoformat(),
            "semana": WEEK,
            "anulada_en": "then" if sold.voided else None,
        }

    def end(self) -> FinalState:
        """Let everything arrive, close the week and return what is there."""
        for member in self.members:
            self.arrive(member)
        reports = [Report(WEEK, member.id, *sums(member)) for member in self.members]
        return FinalState(
            boundary=self.clock,
            catalogue=CATALOGUE,
            capacities=dict(CAPACITIES),
            maestros=[Maestro(member.id, member.email, f"rut of {member.id}", 0) for member in self.members],
            enrolments=[Enrolment(f"form-{n}", member.email, "aprobada") for n, member in enumerate(self.members)],
            sales=[_row_of(member, sold) for member in self.members for sold in member.ledger],
            lines=self.lines,
            held=[Held(member.id, code, member.stock[code]) for member in self.members for code in CAPACITIES],
            notices=self.notices,
            reports=reports,
            mails=[Mail(member.email, f"<{member.id}>", *sums(member)) for member in self.members],
        )


def _row_of(member: Member, sold: Sold) -> Sale:
    product = CATALOGUE[sold.product]
    return Sale(member.id, sold.id, sold.product, sold.quantity, product.price, product.cost, sold.voided, WEEK)


def sums(member: Member) -> tuple[int, int, int, int]:
    """Return sales, units, income and earnings of what stands."""
    standing = member.standing()
    products = [(CATALOGUE[sold.product], sold.quantity) for sold in standing]
    return (
        len(standing),
        sum(quantity for _, quantity in products),
        sum(quantity * product.price for product, quantity in products),
        sum(quantity * (product.price - product.cost) for product, quantity in products),
    )
