"""Reads: a maestro sees nothing that was not asked, and what was seen once stays seen.

A client makes one request after the other, so its reads have an order. All come from one database,
so a later read shows no earlier state. That an accepted sale is shown at once is not promised.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from tests.chaos.checker.accounts import Accounts, Sums
from tests.chaos.checker.findings import Finding, Promise
from tests.chaos.checker.history import READ_CART, READ_SALE, READ_SALES, READ_WEEK, SHOWN, Operation, Wish

Row = dict[str, Any]  # a sale as the API shows it
ABSENT = 404


def check(accounts: Accounts) -> Iterator[Finding]:
    """Follow the reads of each client in their order."""
    by_client: dict[str, list[Operation]] = defaultdict(list)
    for read in accounts.history.reads:
        by_client[read.who].append(read)
    for who, reads in by_client.items():
        client = _Client(accounts, who)
        for read in reads:
            yield from client.follow(read)


class _Client:
    """What one client has seen until now."""

    def __init__(self, accounts: Accounts, who: str) -> None:
        self.accounts = accounts
        self.sales = {sale.id: sale for sale in accounts.history.sales_of.get(who, [])}
        self.voids = {void.id: void for void in accounts.history.voids_of.get(who, [])}
        self.seen: dict[str, tuple[Row, Operation]] = {}
        self.voided: dict[str, Operation] = {}
        self.week: tuple[str, Sums, frozenset[str], Operation] | None = None

    def follow(self, read: Operation) -> Iterator[Finding]:
        """Check a read against those before it, and remember it."""
        if read.kind == READ_SALE and read.status == ABSENT and read.ids[0] in self.seen:
            yield self._finding("a sale that was seen is gone", self.seen[read.ids[0]][1], read)
        if read.status != SHOWN:
            return
        if read.kind == READ_SALE:
            yield from self._rows([read.answer], read)
        elif read.kind == READ_SALES:
            rows: list[Row] = read.answer["results"]
            yield from self._gone(rows, read, more=read.answer["next"] is not None)
            yield from self._rows(rows, read)
        elif read.kind == READ_WEEK:
            yield from self._summary(read)
        elif read.kind == READ_CART:
            yield from self._cart(read)

    def _rows(self, rows: list[Row], read: Operation) -> Iterator[Finding]:
        for row in rows:
            yield from self._row(row, read)
            self.seen.setdefault(row["id"], (row, read))
            if row["anulada_en"]:
                self.voided.setdefault(row["id"], read)

    def _row(self, row: Row, read: Operation) -> Iterator[Finding]:
        id_, evidence = row["id"], f"{row}"
        sale = self.sales.get(id_)
        if sale is None or not _may_show(sale, read):
            yield self._finding("a read shows a sale that was not asked before", None, read, evidence)
            return
        worth, shown = self.accounts.value(sale), (row["producto"], row["ingresos"], row["ganancias"])
        if shown != (sale.content[0], worth.income, worth.earnings):
            yield self._finding("a read shows another sale than was asked", sale.attempts[0], read, evidence)
        if row["anulada_en"] and not (id_ in self.voids and _may_show(self.voids[id_], read)):
            yield self._finding("a read shows a void that was not asked before", None, read, evidence)
        if id_ in self.voided and not row["anulada_en"]:
            yield self._finding("a void that was seen is gone", self.voided[id_], read, evidence)

    def _gone(self, rows: list[Row], read: Operation, *, more: bool) -> Iterator[Finding]:
        """Find sales that were seen and are not in a list which must have them.

        The newest sales come first; of those as old as the last one, or older, the rest may be on
        the next page.
        """
        shown = {row["id"] for row in rows}
        for id_, (row, before) in self.seen.items():
            if id_ not in shown and not (more and _moment(row) <= _moment(rows[-1])):
                yield self._finding("a sale that was seen is gone", before, read, f"sale {id_}")

    def _summary(self, read: Operation) -> Iterator[Finding]:
        """Compare a week's sums with what was seen, asked and told before.

        Every sale is worth more than nothing in each of the sums.
        """
        answer = read.answer
        week = answer["semana"]
        told = Sums(answer["cantidad_ventas"], answer["unidades"], answer["ingresos"], answer["ganancias"])
        doubtful = {id_ for id_, void in self.voids.items() if _may_show(void, read)}
        most = self._worth(sale for id_, sale in self.sales.items() if _may_show(sale, read) and id_ not in self.voided)
        if _exceeds(told, most):
            yield self._finding("a week counts more than was asked", None, read, f"{told}; at most {most}")
        seen = [id_ for id_, (row, _) in self.seen.items() if row["semana"] == week and id_ not in doubtful]
        least = self._worth(self.sales[id_] for id_ in seen if id_ in self.sales)
        if _exceeds(least, told):
            yield self._finding("a week counts less than was seen", None, read, f"{told}; at least {least}")
        if self.week and self.week[0] == week:
            _, before, voided, earlier = self.week
            least = before.minus(self._worth(self.sales[id_] for id_ in doubtful - voided if id_ in self.sales))
            if _exceeds(least, told):
                yield self._finding("a week counts less than a read before", earlier, read, f"{told}; before {before}")
        self.week = (week, told, frozenset(self.voided), read)

    def _cart(self, read: Operation) -> Iterator[Finding]:
        """Compare a cart with what can be in it; the API shows 0 for less than nothing."""
        sold = self.accounts.ingredients(sale for sale in self.sales.values() if _may_show(sale, read))
        back = self.accounts.ingredients(
            self.sales[id_] for id_, void in self.voids.items() if id_ in self.sales and _may_show(void, read)
        )
        for line in read.answer:
            ingredient, amount = line["insumo"], line["cantidad"]
            full = self.accounts.state.capacities[ingredient]
            least, most = max(0, full - sold[ingredient]), full + back[ingredient]
            # A cart is empty until the opening load, which comes with the approval, has arrived.
            if amount > most or (amount < least and amount != 0):
                text = f"a cart shows {amount} of {ingredient}, which was between {least} and {most}"
                yield Finding(Promise.STOCK, text, (read,), f"{line}")

    def _worth(self, sales: Iterable[Wish]) -> Sums:
        return self.accounts.worth(sales)

    @staticmethod
    def _finding(text: str, before: Operation | None, read: Operation, evidence: str = "") -> Finding:
        return Finding(Promise.READS, text, (before, read) if before else (read,), evidence)


def _may_show(wish: Wish, read: Operation) -> bool:
    """Return True if this read may show what was wished: it was asked before the answer came."""
    return wish.possible and wish.asked <= read.answered


def _moment(row: Row) -> datetime:
    return datetime.fromisoformat(row["vendida_en"])  # as a text, 3:00-03:00 is later than 4:00-04:00


def _exceeds(one: Sums, other: Sums) -> bool:
    return any(mine > theirs for mine, theirs in zip(one, other, strict=True))
