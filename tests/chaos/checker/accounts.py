"""What follows from the history: which wishes took effect, and what they add up to."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from tests.chaos.checker.history import History, Wish
from tests.chaos.checker.state import FinalState, Sale


class Sums(NamedTuple):
    """Sales, units, income and earnings (CLP)."""

    sales: int = 0
    units: int = 0
    income: int = 0
    earnings: int = 0

    def plus(self, other: "Sums") -> "Sums":
        return Sums(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))

    def minus(self, other: "Sums") -> "Sums":
        return Sums(*(mine - theirs for mine, theirs in zip(self, other, strict=True)))

    def __str__(self) -> str:
        return f"{self.sales} sales, {self.units} units, ${self.income} income, ${self.earnings} earnings"


class Accounts:
    """The history beside the final state.

    What was accepted took effect. The state decides about what may have taken effect, and about
    nothing else: so a lost row changes no sum here.
    """

    def __init__(self, history: History, state: FinalState) -> None:
        self.history = history
        self.state = state
        self.maestro_of = {maestro.email: maestro.id for maestro in state.maestros}
        self.client_of = {maestro.id: maestro.email for maestro in state.maestros}
        self.rows: dict[tuple[str, str], list[Sale]] = defaultdict(list)
        for row in state.sales:
            self.rows[row.maestro, row.id].append(row)

    def rows_of(self, wish: Wish) -> list[Sale]:
        """Return the rows of a sale of this client; a void has the id of its sale."""
        return self.rows.get((self.maestro_of.get(wish.who, ""), wish.id), [])

    def happened(self, sale: Wish) -> bool:
        return sale.accepted or (sale.possible and bool(self.rows_of(sale)))

    def was_voided(self, sale: Wish) -> bool:
        void = self.history.voids.get(sale.id)
        if void is None or void.who != sale.who:
            return False
        return void.accepted or (void.possible and any(row.voided for row in self.rows_of(sale)))

    def standing(self, who: str) -> list[Wish]:
        """Return the client's sales that count: they happened, and were not taken back."""
        return [
            sale for sale in self.history.sales_of.get(who, []) if self.happened(sale) and not self.was_voided(sale)
        ]

    def value(self, sale: Wish) -> Sums:
        """Return what a sale is worth by the catalogue."""
        code, quantity = sale.content
        product = self.state.catalogue[code]
        return Sums(1, quantity, quantity * product.price, quantity * (product.price - product.cost))

    def worth(self, sales: Iterable[Wish]) -> Sums:
        total = Sums()
        for sale in sales:
            total = total.plus(self.value(sale))
        return total

    def ingredients(self, sales: Iterable[Wish]) -> Counter[str]:
        """Return what sales took out of a cart, by the recipes."""
        taken: Counter[str] = Counter()
        for sale in sales:
            code, quantity = sale.content
            for ingredient, amount in self.state.catalogue[code].recipe.items():
                taken[ingredient] += quantity * amount
        return taken
