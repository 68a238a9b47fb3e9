"""Sales and voids: what was accepted is there once, and nothing that was not asked."""

from collections.abc import Iterator

from tests.chaos.checker.accounts import Accounts
from tests.chaos.checker.findings import Finding, Promise
from tests.chaos.checker.history import Wish
from tests.chaos.checker.state import Sale


def check(accounts: Accounts) -> Iterator[Finding]:
    """Compare the wishes for sales and voids with the rows, one by one."""
    for sale in accounts.history.sales.values():
        yield from _sale(sale, accounts.rows_of(sale))
    for void in accounts.history.voids.values():
        yield from _void(void, accounts.rows_of(void))
    yield from _unasked(accounts)


def _sale(sale: Wish, rows: list[Sale]) -> Iterator[Finding]:
    if sale.accepted and not rows:
        yield Finding(Promise.DURABLE, "a sale was accepted and has no row", sale.attempts)
    if rows and not sale.possible:
        yield Finding(Promise.ASKED, "a sale was refused and has a row", sale.attempts, f"{rows}")
    if len(rows) > 1:
        yield Finding(Promise.ONCE, f"a sale has {len(rows)} rows", sale.attempts, f"{rows}")


def _void(void: Wish, rows: list[Sale]) -> Iterator[Finding]:
    voided = any(row.voided for row in rows)
    if void.accepted and not voided:
        yield Finding(Promise.DURABLE, "a void was accepted and its sale stands", void.attempts, f"{rows}")
    if voided and not void.possible:
        yield Finding(Promise.ASKED, "a void was refused and its sale is voided", void.attempts, f"{rows}")


def _unasked(accounts: Accounts) -> Iterator[Finding]:
    """Find rows that nothing asked for, or that say something else than what was asked."""
    sales, voids = accounts.history.sales, accounts.history.voids
    for row in accounts.state.sales:
        sale = sales.get(row.id)
        if sale is None or accounts.maestro_of.get(sale.who) != row.maestro:
            asked = sale.attempts if sale else ()
            yield Finding(Promise.ASKED, "a row of a sale that its maestro never asked for", asked, f"{row}")
            continue
        if row.voided and (row.id not in voids or voids[row.id].who != sale.who):
            yield Finding(Promise.ASKED, "a sale is voided, which was never asked", sale.attempts, f"{row}")
        code, quantity = sale.content
        product = accounts.state.catalogue[code]
        if (row.product, row.quantity, row.price, row.cost) != (code, quantity, product.price, product.cost):
            text = f"a row says something else than {quantity} {code} at ${product.price}, which cost ${product.cost}"
            yield Finding(Promise.ASKED, text, sale.attempts, f"{row}")
