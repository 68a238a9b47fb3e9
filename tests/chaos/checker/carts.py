"""Carts and notices: a cart holds what operations leave in it, and a notice fills it."""

from collections import Counter, defaultdict
from collections.abc import Iterator

from tests.chaos.checker.accounts import Accounts
from tests.chaos.checker.findings import Finding, Promise
from tests.chaos.checker.history import Operation, Wish
from tests.chaos.checker.state import Line, Notice

LOAD, SALE, VOID, RESTOCK = "carga", "venta", "anulacion", "reposicion"
OPEN, SERVED = "abierto", "atendido"
OF_MAESTRO = "maestro"


def check(accounts: Accounts) -> Iterator[Finding]:
    """Compare stock, ledger, notices and restocks with the operations, cart by cart."""
    lines: dict[str, list[Line]] = defaultdict(list)
    for line in accounts.state.lines:
        lines[line.maestro].append(line)
    notices: dict[str, list[Notice]] = defaultdict(list)
    for notice in accounts.state.notices:
        notices[notice.maestro].append(notice)
    for email, maestro in accounts.maestro_of.items():
        yield from _stock(accounts, email, lines[maestro])
        yield from _ledger(accounts, email, lines[maestro])
        yield from _notices(accounts, email, notices[maestro], lines[maestro])
        yield from _restocks(accounts, email, notices[maestro], lines[maestro])


def _stock(accounts: Accounts, email: str, lines: list[Line]) -> Iterator[Finding]:
    """Compare the totals: a full cart, plus restocks, minus the sales that stand; none is empty."""
    maestro = accounts.maestro_of[email]
    held = {one.ingredient: one.amount for one in accounts.state.held if one.maestro == maestro}
    sold = accounts.ingredients(accounts.standing(email))
    filled: Counter[str] = Counter()
    for line in lines:
        if line.kind == RESTOCK:
            filled.update(line.amounts)
    for ingredient, full in accounts.state.capacities.items():
        expected = full + filled[ingredient] - sold[ingredient]
        if held.get(ingredient) != expected:
            text = f"the cart of {email} should hold {expected} of {ingredient}"
            evidence = f"{held.get(ingredient)}; full {full}, restocks {filled[ingredient]}, sold {sold[ingredient]}"
            yield Finding(Promise.STOCK, text, evidence=evidence)
        if held.get(ingredient, 0) <= 0:
            yield Finding(Promise.RESTOCK, f"the cart of {email} ran out of {ingredient} and was not filled")


def _ledger(accounts: Accounts, email: str, lines: list[Line]) -> Iterator[Finding]:
    """Check that each sale and each void that happened is one line, and no other is there."""
    sales = {sale.id: sale for sale in accounts.history.sales_of.get(email, [])}
    for kind, sign in ((SALE, -1), (VOID, 1)):
        found = Counter(line.cause for line in lines if line.kind == kind)
        for id_, sale in sales.items():
            expected = accounts.happened(sale) and (kind == SALE or accounts.was_voided(sale))
            if found[id_] != expected:
                promise = Promise.ONCE if found[id_] > 1 else Promise.DURABLE if expected else Promise.ASKED
                yield Finding(promise, f"a cart's ledger has {found[id_]} lines `{kind}` of a sale", sale.attempts)
        for line in (line for line in lines if line.kind == kind):
            sale_of_line = sales.get(line.cause)
            if sale_of_line is None:
                yield Finding(Promise.ASKED, f"a line of {email}'s cart that was never asked", evidence=f"{line}")
            elif any(line.amounts.get(code, 0) != sign * n for code, n in accounts.ingredients([sale_of_line]).items()):
                text = "a line takes something else than the recipe"
                yield Finding(Promise.STOCK, text, sale_of_line.attempts, f"{line}")


def _notices(accounts: Accounts, email: str, rows: list[Notice], lines: list[Line]) -> Iterator[Finding]:
    """Check that each accepted notice is there and decided, and that no other was made up."""
    wishes = [wish for wish in accounts.history.notices.values() if wish.who == email]
    known = {row.id for row in rows}
    for wish in wishes:
        ids = {id_ for one in wish.attempts if one.accepted for id_ in one.ids}
        if len(ids) > 1:
            yield Finding(Promise.ONCE, f"one key, {len(ids)} notices", wish.attempts)
        if wish.accepted and not ids <= known:
            yield Finding(Promise.DURABLE, "a notice was accepted and is not there", wish.attempts)
    own = {row.id for row in rows if row.origin == OF_MAESTRO}
    if len(own) > sum(wish.possible for wish in wishes):
        yield Finding(Promise.ASKED, f"{email} has {len(own)} notices and asked for {len(wishes)}")
    for row in rows:
        if row.state == OPEN:
            yield Finding(Promise.RESTOCK, f"a notice of {email} is still open", _asked(wishes, row), f"{row}")
        elif row.state == SERVED and not any(_serves(line, row) for line in lines):
            text = f"a notice of {email} was served by no restock"
            yield Finding(Promise.RESTOCK, text, _asked(wishes, row), f"{row}")


def _serves(line: Line, notice: Notice) -> bool:
    """Return True if this restock closed the notice, as both say the same moment."""
    return (
        line.kind == RESTOCK
        and line.at == notice.closed
        and (not notice.ingredient or notice.ingredient in line.amounts)
    )


def _restocks(accounts: Accounts, email: str, rows: list[Notice], lines: list[Line]) -> Iterator[Finding]:
    """Follow the ledger: each restock has a notice, fills the cart, and comes after earlier sales.

    A notice that comes while an ingredient is out is served at once. Any other waits for the sales
    that were accepted before it: otherwise the cart would not be full after them.
    """
    known = {row.id: row for row in rows}
    wishes = {
        id_: wish
        for wish in accounts.history.notices.values()
        if wish.who == email
        for one in wish.attempts
        for id_ in one.ids
    }
    sales = accounts.history.sales_of.get(email, [])
    levels: Counter[str] = Counter()
    written: set[str] = set()
    for line in lines:
        before = levels.copy()
        levels.update(line.amounts)
        if line.kind == SALE:
            written.add(line.cause)
        if line.kind != RESTOCK:
            continue
        if line.cause not in known:
            yield Finding(Promise.RESTOCK, f"a restock of {email} without a notice", evidence=f"{line}")
        for ingredient in line.amounts:
            full = accounts.state.capacities[ingredient]
            if levels[ingredient] != full:
                text = f"a restock of {email} left {levels[ingredient]} of {full} {ingredient}"
                yield Finding(Promise.RESTOCK, text, evidence=f"{line}")
            wish = wishes.get(line.cause)
            if wish and before[ingredient] > 0:
                yield from _too_early(wish, ingredient, [sale for sale in sales if sale.id not in written], line)


def _too_early(notice: Wish, ingredient: str, unwritten: list[Wish], line: Line) -> Iterator[Finding]:
    for sale in unwritten:
        if sale.accepted_at is not None and sale.accepted_at < notice.asked:
            text = f"a notice filled {ingredient} before a sale that was accepted earlier was counted"
            accepted = next(one for one in sale.attempts if one.answered == sale.accepted_at)
            yield Finding(Promise.RESTOCK, text, (accepted, notice.attempts[0]), f"{line}")


def _asked(wishes: list[Wish], row: Notice) -> tuple[Operation, ...]:
    return next((wish.attempts for wish in wishes if any(row.id in one.ids for one in wish.attempts)), ())
